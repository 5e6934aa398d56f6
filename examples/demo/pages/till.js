import { engage } from "./backstage.js";
import { busy, el, exact, notice, show, sorry, till, until } from "./shop.js";

let found;

const form = document.querySelector("#find");
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { kind, value } = form.elements;
  // A national id and every other identifier travel in the body; the till's own log shows none of them.
  void find({ [kind.value]: value.value.trim(), contactType: "Member", view: "full", channel: "POS" });
});

async function find(lookup) {
  busy("#found");
  const result = await till.customer(lookup);
  if (result.ok) return render(result.customer);
  show("#found");
  if (result.failure.code !== "MultipleMatches") return notice(sorry(result.failure), true);
  notice("Several customers have that. Which one is it?", true);
  const choices = (result.failure.problem.candidates ?? []).map(({ contactId, contactType }) => {
    const choice = el("button", { type: "button" }, `${contactType ?? "unknown type"} ${contactId.slice(0, 8)}`);
    choice.addEventListener("click", () => find({ contactId, view: "full", channel: "POS" }));
    return choice;
  });
  show("#found", el("div", { class: "buttons" }, ...choices));
}

/** Points and vouchers as they are in Engage now: before something is redeemed. */
async function fresh() {
  busy("#found");
  const lookup = { contactId: found, view: "full", channel: "POS" };
  const result = await till.fresh(lookup, ["points", "vouchers"]);
  if (result.ok) render(result.customer);
  else notice(sorry(result.failure), true);
}

/** Redeems at Engage first, then reports the change, so that no other page shows the voucher any more. */
async function redeem(voucher) {
  await engage(`contacts/${found}`, [{ redeemVoucher: voucher }]);
  const said = await till.changed({ contactId: found, parts: ["vouchers", "points"] });
  if (!said.ok) notice(sorry(said.failure), true);
  await fresh();
}

function render(customer) {
  const { profile, contactability, points, vouchers, degraded } = customer;
  found = customer.contactId;
  notice(degraded.length > 0 ? `Not up to date: ${degraded.join(", ")}.` : "", degraded.length > 0);
  const wrong = { missing: "ask for an address", malformed: "this is no address: ask again", warned: "messages to it come back: ask again" };
  const email = contactability?.email;
  const phone = contactability?.sms;
  const flag = (channel) => (channel && channel.status !== "ok" ? el("span", { class: "tag warn" }, wrong[channel.status] ?? channel.status) : undefined);
  const rows = [
    ["Customer", [`${profile?.firstName ?? ""} ${profile?.lastName ?? ""} `, profile?.protected ? el("span", { class: "tag warn" }, "protected identity") : undefined]],
    ["Member", [profile?.memberNumber ?? "–"]],
    ["E-mail", [`${profile?.email ?? "–"} `, flag(email)]],
    ["Phone", [`${profile?.mobilePhone ?? "–"} `, flag(phone)]],
    ["Level", [profile?.level?.name ?? "–"]],
    ["Points", [points ? exact(points.balanceExact) : "not available"]],
  ];
  const now = el("button", { type: "button", class: "main" }, "Points and vouchers as of now");
  now.addEventListener("click", fresh);
  const usable = (vouchers ?? []).map(({ id, name, value, code, expiresOn }) => {
    const use = el("button", { type: "button", "aria-label": `Redeem ${name ?? code}` }, "Redeem");
    use.addEventListener("click", () => redeem(id));
    return el("li", {}, el("p", { class: "figure" }, value ? `${exact(value.amountExact)} ${value.currency}` : "–"), el("p", {}, name ?? ""), el("p", { class: "hint" }, `${code ?? ""}, ${until(expiresOn)}`), use);
  });
  show(
    "#found",
    el("div", { class: "card" }, el("dl", {}, ...rows.flatMap(([term, parts]) => [el("dt", {}, term), el("dd", {}, ...parts.filter(Boolean))])), now),
    el("h2", {}, "Vouchers"),
    vouchers === null ? el("p", {}, "Not available right now.") : usable.length === 0 ? el("p", { class: "hint" }, "None.") : el("ul", { class: "cards" }, ...usable),
  );
}

import { bff, busy, day, el, exact, login, notice, show, sorry, until } from "./shop.js";

const VIEW = { parts: ["points", "vouchers", "promotions", "pointTransactions"], channel: "ECOM", limit: 20 };

await login(async (name) => {
  if (!name) {
    notice();
    show("#mine", el("p", { class: "hint" }, "Log in to see points, vouchers and offers."));
    return;
  }
  busy("#mine");
  const result = await (await bff).me(VIEW);
  if (!result.ok) {
    notice(sorry(result.failure), true);
    show("#mine");
    return;
  }
  const { customer } = result;
  const { degraded } = customer;
  // A part that is missing says so in its place.
  const old = degraded.filter((part) => customer[part] && part !== "audiences");
  notice(old.length > 0 ? `Some of this may be a few minutes old, or incomplete: ${old.join(", ")}.` : "", old.length > 0);
  // A promotion without an offer in this channel can't be used here.
  const offers = customer.promotions?.filter(({ offers }) => offers.length > 0) ?? null;
  show(
    "#mine",
    el("div", { class: "cards" }, profile(customer), level(customer), points(customer)),
    list("Vouchers", customer.vouchers, voucher, old.includes("vouchers")),
    list("Offers", offers, offer, old.includes("promotions")),
    list("Soon to expire", customer.expiringSoon, ending, old.length > 0),
  );
});

const card = (title, ...content) => el("div", { class: "card" }, el("h2", {}, title), ...content);

function profile({ profile }) {
  if (profile?.protected) return card("You", el("p", {}, "Your details are protected and not shown here."));
  const rows = [
    ["Name", [profile?.firstName, profile?.lastName].filter(Boolean).join(" ")],
    ["E-mail", profile?.email],
    ["Phone", profile?.mobilePhone],
    ["Member since", profile?.memberSince && day(profile.memberSince)],
  ];
  const known = rows.filter(([, value]) => value);
  return card("You", el("dl", {}, ...known.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)])));
}

function level({ profile }) {
  const { level } = profile ?? {};
  if (!level) return card("Level", el("p", { class: "hint" }, "No level yet."));
  const figure = el("p", { class: "figure" }, level.name ?? "–");
  if (level.threshold === null) return card("Level", figure, el("p", { class: "hint" }, until(level.expiresOn)));
  const label = `${exact(level.pointsToNextExact)} points to the next level`;
  const bar = el("progress", { max: level.threshold, value: level.points, "aria-label": label });
  return card("Level", figure, bar, el("p", { class: "hint" }, label));
}

function points({ points, pointTransactions }) {
  if (!points) return card("Points", el("p", {}, "Not available right now."));
  const pending = (pointTransactions?.items ?? []).filter((item) => item.pending);
  const why = pending.map((item) => el("li", {}, `${exact(item.amountExact)} from ${day(item.validFrom)}: ${item.description ?? "a purchase"}`));
  return card(
    "Points",
    el("p", { class: "figure", id: "balance" }, exact(points.balanceExact)),
    ...points.accounts.map((account) => el("p", { class: "hint" }, `${account.name ?? "Points"}: ${exact(account.balanceExact)}, ${until(account.expiresOn)}${account.pending ? `; ${exact(account.pendingExact)} more pending` : ""}`)),
    why.length > 0 ? el("details", {}, el("summary", {}, `${why.length} not usable yet`), el("ul", {}, ...why)) : undefined,
  );
}

function list(title, items, one, isUncertain) {
  const heading = el("h2", {}, title);
  if (items === null) return el("section", {}, heading, el("p", {}, "Not available right now."));
  const none = isUncertain ? "Not complete right now." : "None.";
  if (items.length === 0) return el("section", {}, heading, el("p", { class: "hint" }, none));
  return el("section", {}, heading, el("ul", { class: "cards" }, ...items.map(one)));
}

const money = (value) => (value ? `${exact(value.amountExact)} ${value.currency}` : "");

const voucher = ({ name, code, value, expiresOn }) =>
  el("li", {}, el("p", { class: "figure" }, money(value)), el("p", {}, name ?? "Voucher"), el("p", { class: "hint" }, `Code ${code ?? "–"}, ${until(expiresOn)}`));

const offer = ({ heading, name, description, expiresOn }) =>
  el("li", {}, el("h3", {}, heading ?? name ?? "An offer"), el("p", {}, description ?? ""), el("p", { class: "hint" }, until(expiresOn)));

const ending = ({ kind, name, amount, amountExact, expiresOn }) =>
  el("li", {}, el("p", {}, el("span", { class: "tag" }, kind), ` ${name ?? ""} ${amountExact === undefined ? money(amount) : `${exact(amountExact)} points`}`), el("p", { class: "hint" }, until(expiresOn)));

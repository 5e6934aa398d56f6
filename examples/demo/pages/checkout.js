import { bff, busy, el, exact, login, notice, show, until } from "./shop.js";

// In öre: amounts of money are never added as floating-point numbers.
const BASKET = 79_900;
let discount = 0;

const inCrowns = (ore) => (ore / 100).toFixed(2);
const toOre = (digits) => {
  const [whole, cents = ""] = digits.split(".");
  return Number(whole) * 100 + Number(cents.padEnd(2, "0").slice(0, 2));
};

function total() {
  const row = document.querySelector("#discount");
  row.hidden = discount === 0;
  row.lastElementChild.textContent = `−${inCrowns(discount)}`;
  document.querySelector("#total").textContent = inCrowns(BASKET - discount);
}

login(async (name) => {
  discount = 0;
  total();
  if (!name) {
    notice();
    show("#vouchers", el("p", { class: "hint" }, "Log in to use a voucher. You can pay without."));
    return;
  }
  busy("#mine");
  // A checkout waits for a second at most, and continues as a guest whatever happens. A little earlier the service sends
  // cached data, or a guest.
  const view = { parts: ["vouchers"], onUnavailable: "guest", wait: 900 };
  const result = await (await bff).me(view, { deadline: 1000 });
  document.querySelector("#mine").setAttribute("aria-busy", "false");
  if (!result.ok || result.customer.contactId === null) {
    notice("Your membership cannot be reached. Pay as a guest: your points are added later.", true);
    show("#vouchers", el("p", { class: "hint" }, "Vouchers are not available right now."));
    return;
  }
  const { profile, vouchers, degraded } = result.customer;
  const stale = degraded.includes("vouchers");
  notice(stale ? "These vouchers may have changed; the total is checked when you pay." : `Welcome, ${profile?.firstName ?? name}.`, stale);
  const usable = (vouchers ?? []).filter(({ value }) => value?.currency === "SEK");
  const choices = usable.map(({ id, name, value, expiresOn }) => {
    const choice = el("input", { type: "radio", name: "voucher", value: id });
    choice.addEventListener("change", () => {
      discount = Math.min(toOre(value.amountExact), BASKET);
      total();
    });
    return el("label", {}, choice, ` ${exact(value.amountExact)} SEK, ${name ?? "voucher"}, ${until(expiresOn)}`);
  });
  show("#vouchers", el("div", { class: "choices" }, ...choices), choices.length === 0 ? el("p", { class: "hint" }, "You have none.") : undefined);
});

document.querySelector("#pay").addEventListener("click", () => {
  document.querySelector("#paid").textContent = `Paid ${inCrowns(BASKET - discount)} SEK. Thank you!`;
});

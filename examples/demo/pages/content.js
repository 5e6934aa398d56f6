import { engage } from "./backstage.js";
import { bff, busy, el, login, notice, show } from "./shop.js";

const ALVA = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";
/** The audiences with a panel, as the simulator knows them. */
const IDS = { Gold: "a11d0001-0000-4000-8000-aaaa006c0002", Outdoor: "a11d0001-0000-4000-8000-aaaa006c0003" };
const PANELS = [
  { audience: undefined, title: "This week", text: "Wool, at a quarter less." },
  { audience: "Gold", title: "Gold evening", text: "Doors open an hour earlier for you on Thursday." },
  { audience: "Outdoor", title: "New paths", text: "Tents and boots for the long weekend." },
];

const panel = ({ title, text, audience }) =>
  el("div", { class: audience ? "card strong" : "card" }, el("h2", {}, title), el("p", {}, text), el("p", { class: "hint" }, audience ? `For the audience ${audience}` : "For all visitors"));

login(async (name) => {
  notice(name ? `Content for ${name}` : "Content for a visitor");
  if (!name) {
    show("#panels", ...PANELS.filter(({ audience }) => !audience).map(panel));
    return;
  }
  busy("#panels");
  // Profile and audiences alone: the cheapest answer there is, on every page view.
  const result = await (await bff).me({ parts: [] }, { deadline: 800 });
  // Content never waits and never fails: without a response it is that of an unknown visitor.
  const audiences = result.ok ? (result.customer.audiences ?? []).map(({ name }) => name) : [];
  show("#panels", ...PANELS.filter(({ audience }) => !audience || audiences.includes(audience)).map(panel));
  const choices = document.querySelector("#choices");
  document.querySelector("#audiences").hidden = result.ok ? result.customer.contactId !== ALVA : true;
  choices.replaceChildren(
    ...PANELS.filter(({ audience }) => audience).map(({ audience }) => {
      const choice = el("input", { type: "checkbox", value: audience, ...(audiences.includes(audience) && { checked: "" }) });
      return el("label", {}, choice, ` ${audience}`);
    }),
  );
});

document.querySelector("#audiences").addEventListener("change", async ({ currentTarget }) => {
  const chosen = [...currentTarget.querySelectorAll("input:checked")].map(({ value }) => value);
  const { audiences } = await engage(`contacts/${ALVA}`);
  const others = audiences.filter(({ name }) => !(name in IDS));
  await engage(`contacts/${ALVA}`, [{ audiences: [...others, ...chosen.map((name) => ({ id: IDS[name], name }))] }]);
});

import { engage } from "./backstage.js";
import { el, exact, show, sorry, till } from "./shop.js";

const COUNT = 12;

// In a real shop these come with the orders.
const { ids } = await engage(`contacts?offset=0&count=${COUNT - 2}`).then((list) => ({ ids: list.ids ?? list }));
const contacts = await Promise.all(ids.map((id) => engage(`contacts/${id}`)));
const known = contacts.map(({ attributes }) => attributes.email).filter(Boolean);
const addresses = [...known, "unknown@example.com", "not an address"];

const rows = addresses.map((address, index) =>
  el("tr", {}, el("th", { scope: "row" }, `#${4711 + index}`), el("td", {}, address), el("td", {}, "…"), el("td", {}, ""), el("td", {}, "")),
);
show("#lines", ...rows);

const load = document.querySelector("#load");
load.disabled = false;
load.addEventListener("click", async ({ currentTarget }) => {
  currentTarget.disabled = true;
  const began = performance.now();
  let done = 0;
  const lookups = addresses.map((email) => ({ email, contactType: "Member" }));
  for await (const line of till.batch(lookups, { parts: ["points"], view: "full" })) {
    const [, , customer, level, points] = rows[line.index].children;
    if (line.ok) {
      const { profile } = line.customer;
      customer.textContent = `${profile?.firstName ?? ""} ${profile?.lastName ?? ""}`;
      level.textContent = profile?.level?.name ?? "–";
      points.textContent = exact(line.customer.points?.balanceExact);
    } else {
      customer.textContent = line.failure.code === "ContactNotFound" ? "no member" : sorry(line.failure);
    }
    done += 1;
    const took = Math.round(performance.now() - began);
    document.querySelector("#progress").textContent = `${done} of ${addresses.length} in ${took} ms`;
  }
  currentTarget.disabled = false;
});

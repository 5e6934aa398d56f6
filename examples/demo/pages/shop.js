// What every page needs: the client of engage-bff, the log-in, small helpers.
import { Client } from "./client/index.js";
import { watch } from "./backstage.js";

/** @typedef {import("./client/index.js").Customer} Customer */

const facts = fetch("/facts").then((response) => response.json());
let token;

/** The service as the shopper that is logged in: straight from the page, with the shopper's token. */
export const bff = facts.then(({ bff: baseUrl }) => new Client({ baseUrl, token: () => token, fetch: watch }));

/** The service as the till: through the shop's backend, which has the key. */
export const till = new Client({ baseUrl: `${location.origin}/till`, fetch: watch });

/**
 * Wires the form to log in and out. `shown` runs after each, and whenever a webhook said that something has changed.
 * @param {(name: string | undefined) => void} shown
 */
export async function login(shown) {
  const form = document.querySelector("#login");
  const out = form.elements.out;
  const { shoppers } = await facts;
  form.elements.contactId.append(
    ...shoppers.map(({ name, id, about }) => Object.assign(document.createElement("option"), { value: id, textContent: `${name}, ${about}` })),
  );
  let name;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = JSON.stringify({ contactId: form.elements.contactId.value });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch("/login", { method: "POST", headers, body });
    ({ token, name } = await response.json());
    out.hidden = false;
    shown(name);
  });
  out.addEventListener("click", async () => {
    (await bff).forget();
    token = name = undefined;
    out.hidden = true;
    shown(undefined);
  });
  // The shop's backend passes webhooks on; the page reads its customer again, which costs little if it has not changed.
  new EventSource("/push").addEventListener("message", () => name && shown(name));
  shown(undefined);
}

/** An element with attributes and content. Texts stay texts. */
export function el(name, attributes = {}, ...content) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content.filter((part) => part !== undefined));
  return element;
}

export function show(selector, ...content) {
  const element = document.querySelector(selector);
  element.replaceChildren(...content.filter((part) => part !== undefined));
  element.setAttribute("aria-busy", "false");
  return element;
}

export function busy(selector) {
  document.querySelector(selector).setAttribute("aria-busy", "true");
}

/** One line above the content: what the customer should know. */
export function notice(text = "", warns = false) {
  const line = document.querySelector("#notice");
  line.textContent = text;
  line.classList.toggle("warn", warns);
}

/** A failure in words for customers. */
export function sorry(failure) {
  switch (failure.code) {
    case "Unauthorized":
      return "Please log in again.";
    case "ContactNotFound":
      return "There is no such customer.";
    case "MultipleMatches":
      return "Several customers have that.";
    case "InvalidEmailAddress":
    case "InvalidPhoneNumber":
    case "InvalidSocialSecurityNumber":
    case "InvalidSearchQuery":
      return "That cannot be right. Please check it.";
    case "RateLimited":
      return "That was a lot at once. Please wait a moment.";
    default:
      return `Not available right now (${failure.code}). The rest of the shop works.`;
  }
}

const numbers = new Intl.NumberFormat("sv-SE");
/** A number from its exact digits: the formatter does not round numbers that it gets as text. */
export const exact = (digits) => (digits === undefined ? "–" : numbers.format(digits));

const dates = new Intl.DateTimeFormat("sv-SE", { dateStyle: "medium", timeZone: "Europe/Stockholm" });
export const day = (time) => dates.format(new Date(time));
/** The last day of something, or that it has no end. `time` is its end, so an end at midnight means the day before. */
export const until = (time) => (time ? `until ${day(new Date(time).getTime() - 1)}` : "without end");

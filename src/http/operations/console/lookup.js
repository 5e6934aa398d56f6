// @ts-check
// Looks up what is cached for an identifier, and the latest decisions.

import { request } from "./session.js";
import { badge, byId, count, element, fillTable, time } from "./view.js";

const KINDS = ["email", "mobilePhone", "contactId", "customKey", "socialSecurityNumber", "any"];
const NAMES = {
  email: "E-mail",
  mobilePhone: "Mobile phone",
  contactId: "Contact id",
  customKey: "Custom key",
  socialSecurityNumber: "National id",
  any: "Any",
};
const PARTS = ["profile", "audiences", "promotions", "vouchers", "points"];
/** How many decisions are listed at once. */
const AT_ONCE = 20;
/** What is wrong with data in each window. @type {Record<string, "good" | "warn" | "bad">} */
const FRESHNESS = { fresh: "good", stale: "warn", expired: "bad", dead: "bad" };
/** @type {Record<string, "good" | "warn" | "bad" | "idle">} */
const OUTCOMES = {
  fresh: "good",
  fetched: "good",
  shared: "good",
  stale: "warn",
  stale_if_error: "bad",
  stale_if_slow: "bad",
  missing: "bad",
};

/** @param {HTMLSelectElement} select  @param {[string, string][]} more */
export function fillKinds(select, more = []) {
  const all = [...KINDS.map((kind) => [kind, NAMES[/** @type {keyof NAMES} */ (kind)]]), ...more];
  select.replaceChildren(...all.map(([value, name]) => element("option", { value }, name)));
}

/** @param {HTMLElement} status  @param {() => Promise<string>} act */
export async function report(status, act) {
  status.classList.remove("error");
  status.textContent = "…";
  try {
    status.textContent = await act();
  } catch (error) {
    status.classList.add("error");
    status.textContent = error instanceof Error ? error.message : String(error);
  }
}

/** A table in a region that can be scrolled. @param {string} caption  @param {any[]} columns  @param {any[][]} rows  @param {string} empty */
function table(caption, columns, rows, empty) {
  const made = element("table");
  fillTable(made, caption, columns, rows, empty);
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
}

/** @param {string} digest */
const digestText = (digest) => element("code", {}, digest);

/** @param {any} provenance */
function provenanceCells(provenance) {
  if (!provenance) return [element("span", { class: "muted" }, "not cached"), "–", "–", "–"];
  const left = provenance.ttlSeconds;
  return [
    badge(FRESHNESS[provenance.freshness] ?? "idle", provenance.freshness),
    time(provenance.ageSeconds),
    left >= 0 ? `${time(left)} left` : `over for ${time(-left)}`,
    provenance.source,
  ];
}

const PROVENANCE = [
  { name: "State" },
  { name: "Age", isNumber: true },
  { name: "Lifetime", isNumber: true },
  { name: "Endpoint" },
];

/** @param {any} contact */
function contactCard(contact) {
  const parts = [
    ...PARTS.map((part) => [part, contact.parts[part]]),
    ...Object.entries(contact.history ?? {}).filter(([, value]) => value),
  ];
  const fences = contact.fences.map((/** @type {any} */ fence) => {
    const only = fence.entityOnlySeconds === null ? "" : `from its own endpoint for ${time(fence.entityOnlySeconds)}`;
    return `${fence.part}: ${[fence.raised ? "what was fetched before is not served" : "", only].filter(Boolean).join("; ")}`;
  });
  const names = contact.names.map((/** @type {any} */ name) => [
    `${name.kind}${name.contactType ? ` (${name.contactType})` : ""}`,
    ...provenanceCells(name),
  ]);
  const button = element("button", { type: "button" }, "Decisions about this contact");
  button.addEventListener("click", () => showDecisions(contact.contact));
  return element(
    "article",
    { class: "result" },
    element("h3", {}, "Contact ", digestText(contact.contact)),
    table(
      "Cached parts",
      [{ name: "Part" }, ...PROVENANCE],
      parts.map(([part, provenance]) => [part, ...provenanceCells(provenance)]),
      "Nothing is cached.",
    ),
    names.length ? table("Identifiers that lead to it", [{ name: "Identifier" }, ...PROVENANCE], names, "") : "",
    ...fences.map((/** @type {string} */ fence) => element("p", { class: "muted" }, `Fence: ${fence}.`)),
    element("p", { class: "muted" }, `Rendered responses: ${count(contact.rendered)}.`),
    button,
  );
}

/** @param {any} found */
function explanation(found) {
  const result = [];
  if (!found.enabled) result.push(element("p", {}, badge("bad", "The cache is switched off.")));
  if (found.negative) {
    result.push(
      element(
        "p",
        {},
        badge("warn", found.negative.code),
        ` is remembered for ${time(found.negative.ttlSeconds)} more.`,
      ),
    );
  }
  for (const failed of found.failures) {
    result.push(
      element(
        "p",
        {},
        badge("bad", failed.code),
        ` The call ${failed.call} failed and is made again in ${time(failed.retrySeconds)} at the earliest.`,
      ),
    );
  }
  result.push(...found.contacts.map(contactCard));
  if (found.sharedTier === "unavailable")
    result.push(element("p", {}, badge("bad", "The shared tier does not answer.")));
  else if (found.sharedTier) result.push(...found.sharedTier.contacts.map(sharedTable));
  if (!result.length) result.push(element("p", {}, "Nothing is cached for it here."));
  return result;
}

/** @param {any} contact */
function sharedTable(contact) {
  const rows = PARTS.map((part) => {
    const value = contact.parts[part];
    if (!value) return [part, element("span", { class: "muted" }, "not stored"), "–", "–"];
    return [
      part,
      value.readable ? badge("good", "stored") : badge("bad", "unreadable"),
      time(value.ageSeconds ?? null),
      value.source ?? "–",
    ];
  });
  return element(
    "article",
    { class: "result" },
    element("h3", {}, "In the shared tier: ", digestText(contact.contact)),
    table(
      "Stored in the shared tier",
      [{ name: "Part" }, { name: "State" }, { name: "Age", isNumber: true }, { name: "Endpoint" }],
      rows,
      "",
    ),
  );
}

/** @param {string} part  @param {any} reason */
function reasonRow(part, reason) {
  return [
    part,
    badge(OUTCOMES[reason.outcome] ?? "idle", reason.outcome.replaceAll("_", " ")),
    time(reason.ageSeconds),
    reason.why ?? "–",
    reason.failure ?? "–",
  ];
}

/** Which parts were not simply fresh, and why, in a few words. @param {any} decision */
function summary(decision) {
  if (!decision.parts) return decision.failure ? `– ${decision.failure}` : "";
  /** @type {Map<string, string[]>} */
  const reasons = new Map();
  for (const part of PARTS) {
    const reason = decision.parts[part]?.why;
    if (reason) reasons.set(reason, [...(reasons.get(reason) ?? []), part]);
  }
  const texts = [...reasons].map(
    ([reason, parts]) => `${parts.length === PARTS.length ? "all parts" : parts.join(", ")}: ${reason}`,
  );
  return texts.length ? `– ${texts.join("; ")}` : "";
}

/** @param {any} decision */
function decisionItem(decision) {
  const what = decision.cache ?? decision.code;
  const isBad = decision.status >= 500 || /stale-if|guest/.test(what);
  const parts = PARTS.filter((part) => decision.parts?.[part]);
  const about = `${decision.client}, by ${decision.by}, request `;
  return element(
    "details",
    { class: "decision" },
    element(
      "summary",
      {},
      element("time", { datetime: decision.at }, `${decision.at.slice(0, 10)} ${decision.at.slice(11, 23)} UTC`),
      " ",
      badge(isBad ? "bad" : "idle", what),
      ` ${decision.status} `,
      element("span", { class: "muted" }, `${decision.client} ${summary(decision)}`),
    ),
    element(
      "p",
      {},
      about,
      element("code", {}, decision.requestId),
      ", contact ",
      decision.contact ? digestText(decision.contact) : "unknown",
      ".",
    ),
    decision.failure ? element("p", {}, badge("bad", decision.failure)) : "",
    parts.length
      ? table(
          "Parts of the response",
          [
            { name: "Part" },
            { name: "Served" },
            { name: "Age", isNumber: true },
            { name: "Why not from memory as fresh" },
            { name: "Failure" },
          ],
          parts.map((part) => reasonRow(part, decision.parts[part])),
          "",
        )
      : "",
  );
}

/** Lists some decisions, and a button for the next. @param {any[]} decisions */
function listMore(decisions) {
  const rest = decisions.slice(AT_ONCE);
  const list = byId("look-up-result");
  list.append(...decisions.slice(0, AT_ONCE).map(decisionItem));
  if (!rest.length) return;
  const more = element("button", { type: "button" }, `Show ${Math.min(AT_ONCE, rest.length)} more`);
  more.addEventListener("click", () => {
    const shown = list.children.length - 1;
    more.remove();
    listMore(rest);
    list.children[shown].querySelector("summary")?.focus();
  });
  list.append(more);
}

/** @param {string} contact its digest; empty: of all */
async function showDecisions(contact) {
  byId("decisions-contact").value = contact;
  await report(byId("look-up-status"), async () => {
    const query = contact ? `?contact=${encodeURIComponent(contact)}` : "";
    const { decisions, kept, oldest } = await request("GET", `cache/decisions${query}`);
    const heading = element(
      "h3",
      { tabindex: "-1" },
      contact ? "Decisions about " : "Latest decisions",
      contact ? digestText(contact) : "",
    );
    byId("look-up-result").replaceChildren(heading);
    listMore(decisions);
    heading.focus();
    const since = oldest ? `, back to ${oldest.slice(0, 10)} ${oldest.slice(11, 19)} UTC` : "";
    return `${count(decisions.length)} of ${count(kept)} decisions that are kept${since}. Plain hits are not among them.`;
  });
}

export function setUpLookUp() {
  fillKinds(byId("explain-kind"));
  byId("explain-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    /** @type {Record<string, string>} */
    const body = { [byId("explain-kind").value]: byId("explain-value").value };
    if (byId("explain-type").value) body.contactType = byId("explain-type").value;
    report(byId("look-up-status"), async () => {
      const found = await request("POST", "cache/explain", body);
      byId("look-up-result").replaceChildren(...explanation(found));
      byId("explain-value").value = "";
      return `${count(found.contacts.length)} cached ${found.contacts.length === 1 ? "contact" : "contacts"} found.`;
    });
  });
  byId("decisions-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    showDecisions(byId("decisions-contact").value.trim());
  });
}

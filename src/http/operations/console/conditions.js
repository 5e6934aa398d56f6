// @ts-check
// What an operator should know now, in words, the worst first.

import { ANSWERS, failedCalls } from "./calls.js";
import { WINDOW } from "./metrics.js";
import { figure, percent, time } from "./view.js";

/** @typedef {"bad" | "warn" | "idle" | "good"} Kind */
/** `key` names the condition while it lasts; `detail` may change. @typedef {{key: string, kind: Kind, text: string, detail: string}} Condition */
/** @typedef {import("./metrics.js").Metrics} Metrics */

/** @param {Metrics} metrics  @param {any} readiness  @returns {Condition[]} */
export function conditions(metrics, readiness) {
  const all = [
    ...ofReplica(readiness),
    ...ofEngage(readiness),
    ...ofCalls(metrics),
    ...ofResponses(metrics),
    ...ofSources(readiness),
    ...ofLog(metrics),
  ];
  const order = ["bad", "warn", "idle", "good"];
  all.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  if (!all.some(({ kind }) => kind !== "idle"))
    all.unshift({ key: "well", kind: "good", text: "Nothing needs attention.", detail: "" });
  return all;
}

/** @param {any} readiness  @returns {Condition[]} */
function ofReplica(readiness) {
  /** @type {Condition[]} */
  const found = [];
  if (!readiness.ready)
    found.push({
      key: "unready",
      kind: "bad",
      text: "This replica takes no traffic.",
      detail: "It starts or shuts down.",
    });
  if (!readiness.cache.enabled)
    found.push({ key: "off", kind: "bad", text: "The cache is switched off.", detail: "Every request calls Engage." });
  if (readiness.tokenKeys === "not loaded")
    found.push({
      key: "keys",
      kind: "bad",
      text: "The token issuer's keys are not known.",
      detail: "Shoppers get a 503.",
    });
  if (readiness.reload?.failed) {
    found.push({
      key: "reload",
      kind: "bad",
      text: "The last reload failed.",
      detail: "The configuration before it is in force: see the log.",
    });
  }
  if (readiness.reload?.needsRestart.length) {
    found.push({
      key: "restart",
      kind: "idle",
      text: "A restart is needed.",
      detail: `New values are not in force yet: ${readiness.reload.needsRestart.join(", ")}.`,
    });
  }
  readiness.warnings.forEach((/** @type {string} */ warning, /** @type {number} */ index) =>
    found.push({ key: `warning-${index}`, kind: "idle", text: "Questionable setting.", detail: warning }),
  );
  return found;
}

/** @param {any} readiness  @returns {Condition[]} */
function ofEngage({ engage }) {
  /** @type {Condition[]} */
  const found = [];
  for (const { group, state, refusesForSeconds } of engage.breakers) {
    if (state === "open") {
      const wait = refusesForSeconds === null ? "" : `The next call is tried in ${time(refusesForSeconds)}.`;
      found.push({ key: `open-${group}`, kind: "bad", text: `Circuit breaker open: ${group}.`, detail: wait });
    } else if (state === "half_open") {
      found.push({
        key: `half-${group}`,
        kind: "warn",
        text: `Circuit breaker half open: ${group}.`,
        detail: "The next call is tried alone, or is being tried.",
      });
    }
  }
  if (engage.pausedForSeconds) {
    found.push({
      key: "paused",
      kind: "bad",
      text: "Engage answered 429: calls pause.",
      detail: `For ${time(engage.pausedForSeconds)} more.`,
    });
  }
  if (engage.budget?.mode === "own share") {
    found.push({
      key: "share",
      kind: "warn",
      text: "Calls stay within this replica's own share.",
      detail: "No tokens of the shared budget can be had.",
    });
  }
  return found;
}

/** @param {Metrics} metrics  @returns {Condition[]} */
function ofCalls(metrics) {
  /** @type {Condition[]} */
  const found = [];
  for (const group of metrics.values("engage_calls_total", "group")) {
    const failed = failedCalls(metrics, group);
    if (!failed) continue;
    const outcomes = metrics
      .values("engage_calls_total", "outcome")
      .filter((outcome) => !ANSWERS.has(outcome) && metrics.increase("engage_calls_total", { group, outcome }));
    const share = percent(failed / (metrics.increase("engage_calls_total", { group }) ?? failed));
    found.push({
      key: `calls-${group}`,
      kind: "warn",
      text: `Calls to Engage fail: ${group}.`,
      detail: `${share} within ${WINDOW} seconds: ${outcomes.join(", ").replaceAll("_", " ")}.`,
    });
  }
  return found;
}

/** @param {Metrics} metrics  @returns {Condition[]} */
function ofResponses(metrics) {
  /** @type {Condition[]} */
  const found = [];
  const problems = metrics.has("problems_total") ? "problems_total" : "refusals_total";
  for (const status of metrics.values(problems, "status").filter((status) => status >= "500")) {
    for (const code of metrics.values(problems, "code")) {
      const rate = metrics.rate(problems, { status, code });
      if (rate)
        found.push({
          key: `sent-${code}`,
          kind: "bad",
          text: `Callers get ${status} ${code}.`,
          detail: `${figure(rate)} a second.`,
        });
    }
  }
  for (const [cache, text] of [
    ["stale-if-error", "Stale data is served because Engage fails."],
    ["stale-if-slow", "Stale data is served because Engage is slow."],
    ["guest", "Callers get a guest because Engage is unavailable."],
  ]) {
    const rate = metrics.rate("customer_request_duration_seconds_count", { cache });
    if (rate) found.push({ key: cache, kind: "warn", text, detail: `${figure(rate)} a second.` });
  }
  const tripped = metrics
    .values("client_guard_tripped", "client")
    .filter((client) => metrics.value("client_guard_tripped", { client }));
  for (const client of tripped) {
    found.push({
      key: `guard-${client}`,
      kind: "bad",
      text: `Enumeration guard tripped: ${client}.`,
      detail: "It is answered from memory alone.",
    });
  }
  return found;
}

/** @param {any} readiness  @returns {Condition[]} */
function ofSources({ webhooks, sharedTier }) {
  /** @type {Condition[]} */
  const found = [];
  if (webhooks.state === "failing")
    found.push({ key: "feed", kind: "bad", text: "Webhooks are not understood.", detail: "Lifetimes are shortened." });
  if (webhooks.state === "silent")
    found.push({ key: "feed", kind: "warn", text: "Webhooks are silent.", detail: "Lifetimes are shortened." });
  if (sharedTier && !sharedTier.available) {
    found.push({
      key: "tier",
      kind: "bad",
      text: `The shared tier is not used: ${sharedTier.state}.`,
      detail: `For ${time(sharedTier.sinceSeconds)}.`,
    });
  }
  if (sharedTier?.memoryDistrusted) {
    found.push({
      key: "distrusted",
      kind: "warn",
      text: "Changes of other replicas may be missing.",
      detail: "Lifetimes are shortened.",
    });
  }
  return found;
}

/** @param {Metrics} metrics  @returns {Condition[]} */
function ofLog(metrics) {
  const dropped = ["audit", "events"].filter((log) => metrics.increase("log_events_dropped_total", { log }));
  return dropped.map((log) => ({
    key: `log-${log}`,
    kind: "bad",
    text: log === "audit" ? "Audit events are dropped." : "Log events are dropped.",
    detail: "Standard output is not read.",
  }));
}

// @ts-check
// The panels of figures: tiles, tables and facts. A figure that this replica does not have is "–".

import { failedCalls } from "./calls.js";
import {
  ago,
  badge,
  byId,
  bytes,
  count,
  duration,
  element,
  figure,
  fillFacts,
  fillTable,
  percent,
  time,
} from "./view.js";

/** @typedef {import("./metrics.js").Metrics} Metrics */

const REQUESTS = "customer_request_duration_seconds";
const CALLS = "engage_call_duration_seconds";

/** @param {number | null} part  @param {number | null} whole */
const share = (part, whole) => (part === null || !whole ? null : part / whole);

/** @param {HTMLElement} list  @param {Metrics} metrics  @param {any} readiness */
export function showTiles(list, metrics, readiness) {
  const requests = metrics.rate(`${REQUESTS}_count`);
  const hits =
    (metrics.rate(`${REQUESTS}_count`, { cache: "hit" }) ?? 0) +
    (metrics.rate(`${REQUESTS}_count`, { cache: "shared" }) ?? 0);
  const calls = metrics.rate("engage_calls_total");
  const budget = metrics.value("engage_budget_calls_per_second");
  const problems = metrics.has("problems_total") ? "problems_total" : "refusals_total";
  const failing = metrics
    .values(problems, "status")
    .filter((status) => status >= "500")
    .reduce((sum, status) => sum + (metrics.rate(problems, { status }) ?? 0), 0);
  const [median, tail] = [metrics.quantile(REQUESTS, 0.5), metrics.quantile(REQUESTS, 0.99)];
  /** @type {[string, string, string, boolean?][]} */
  const tiles = [
    ["Responses", figure(requests), "about customers, a second"],
    ["Hit ratio", percent(share(requests === null ? null : hits, requests)), "from memory or the shared tier"],
    ["Response time", duration(median), `99 %: ${duration(tail)}`],
    ["Failures", figure(requests === null ? null : failing), "responses of 500 and above, a second", failing > 0],
    ["Calls to Engage", figure(calls), budget === null ? "a second" : `a second, of ${figure(budget)}`],
    [
      "Waiting calls",
      count(readiness.engage.queued),
      `${count(readiness.engage.inFlight)} in flight`,
      readiness.engage.queued > 0,
    ],
  ];
  const made = tiles.map(([name, value, note, isBad]) =>
    element(
      "div",
      { class: isBad ? "tile alert" : "tile" },
      element("dt", {}, name),
      element("dd", {}, element("b", {}, value), element("span", {}, note)),
    ),
  );
  list.replaceChildren(...made);
}

/** @param {HTMLElement} table  @param {Metrics} metrics */
export function showParts(table, metrics) {
  const name = "parts_served_total";
  const outcomes = ["fresh", "fetched", "shared", "stale", "stale_if_slow", "stale_if_error", "missing"];
  const columns = [
    { name: "Part" },
    ...outcomes.map((outcome) => ({ name: outcome.replaceAll("_", " "), isNumber: true })),
    { name: "Age, median", isNumber: true },
  ];
  const rows = metrics
    .values(name, "part")
    .map((part) => [
      part,
      ...outcomes.map((outcome) => figure(metrics.rate(name, { part, outcome }))),
      time(metrics.quantile("part_age_seconds", 0.5, { part })),
    ]);
  fillTable(
    table,
    "Parts served a second, by where they came from",
    columns,
    rows,
    "This replica does not count parts.",
  );
}

/** @param {HTMLElement} table  @param {Metrics} metrics */
export function showProblems(table, metrics) {
  const name = metrics.has("problems_total") ? "problems_total" : "refusals_total";
  const found = metrics
    .values(name, "code")
    .flatMap((code) =>
      metrics.values(name, "status").map((status) => ({ code, status, total: metrics.value(name, { code, status }) })),
    );
  const sent = found
    .filter(({ total }) => total)
    .map((one) => ({ ...one, rate: metrics.rate(name, { code: one.code, status: one.status }) }));
  sent.sort((a, b) => (b.rate ?? 0) - (a.rate ?? 0) || (b.total ?? 0) - (a.total ?? 0));
  const rows = sent
    .slice(0, 12)
    .map(({ code, status, total, rate }) => [element("code", {}, code), status, figure(rate), count(total)]);
  const columns = [
    { name: "Code" },
    { name: "Status", isNumber: true },
    { name: "A second", isNumber: true },
    { name: "Since the start", isNumber: true },
  ];
  fillTable(table, "Problems sent, by their code", columns, rows, "None since the start.");
}

/** @type {Record<string, "good" | "warn" | "bad">} */
const BREAKERS = { closed: "good", half_open: "warn", open: "bad" };

/** @param {HTMLElement} table  @param {Metrics} metrics  @param {any} readiness */
export function showGroups(table, metrics, readiness) {
  const names = ["Group", "Breaker", "Calls a second", "Median", "95 %", "99 %", "Waiting, 95 %", "Failed", "Retries"];
  const columns = names.map((name, index) => ({ name, isNumber: index > 1 }));
  const rows = readiness.engage.breakers.map((/** @type {any} */ { group, state, refusesForSeconds }) => {
    const calls = metrics.increase("engage_calls_total", { group });
    const wait = refusesForSeconds ? ` ${time(refusesForSeconds)}` : "";
    return [
      group,
      badge(BREAKERS[state] ?? "idle", state.replace("_", " ") + wait),
      figure(metrics.rate("engage_calls_total", { group })),
      ...[0.5, 0.95, 0.99].map((quantile) => duration(metrics.quantile(CALLS, quantile, { group }))),
      duration(metrics.quantile("engage_queue_duration_seconds", 0.95, { group })),
      percent(share(failedCalls(metrics, group), calls)),
      figure(metrics.rate("engage_retries_total", { group })),
    ];
  });
  fillTable(table, "Calls to Engage within the last ten seconds, by group of endpoints", columns, rows, "None.");
}

/** @type {Record<string, "good" | "warn" | "bad" | "idle">} */
const FEEDS = { working: "good", unknown: "warn", silent: "warn", failing: "bad", off: "idle" };

/** @param {Metrics} metrics  @param {any} readiness  @param {number} now */
export function showCache(metrics, readiness, now) {
  const used = metrics.value("cache_record_bytes");
  const most = metrics.value("cache_max_bytes");
  const filled = share(used, most);
  const meter = element("meter", { min: "0", max: "1", value: String(filled ?? 0), "aria-label": "Filled" });
  byId("fill").replaceChildren(
    element("p", { class: "big" }, element("b", {}, bytes(used)), most === null ? " of records" : ` of ${bytes(most)}`),
    filled === null ? "" : meter,
  );
  const aliases = metrics.value(metrics.has("cache_aliases") ? "cache_aliases" : "cache_names");
  const [input, output] = [
    metrics.value("cache_compression_input_bytes_total"),
    metrics.value("cache_compression_output_bytes_total"),
  ];
  const [recordBytes, recordRoom] = [metrics.value("cache_record_bytes"), metrics.value("cache_record_max_bytes")];
  fillFacts(byId("cache-facts"), [
    ["Contacts", count(metrics.value("cache_records"))],
    ["Identifiers that lead to one", count(aliases)],
    ["Identifiers that lead to none", count(metrics.value("cache_negatives"))],
    ["Calls in back-off", count(metrics.value("cache_failures"))],
    ["Parts of histories", count(metrics.value("cache_histories"))],
    ["Room for contacts taken", percent(share(recordBytes, recordRoom))],
    ["Invalidations a second", figure(metrics.rate("cache_invalidations_total"))],
    ["Compressed to", percent(share(output, input))],
    ["Resident memory", bytes(metrics.value("process_resident_memory_bytes"))],
    ["Open files", `${count(metrics.value("process_open_fds"))} of ${count(metrics.value("process_max_fds"))}`],
    ["Connections", count(metrics.value("connections", { listener: "data" }))],
  ]);
  const { webhooks, sharedTier } = readiness;
  const taken = metrics.rate("webhooks_total", { outcome: "taken" });
  fillFacts(byId("feed-facts"), [
    ["Feed", badge(FEEDS[webhooks.state] ?? "idle", webhooks.state)],
    ["Last taken", webhooks.lastTakenSecondsAgo === null ? "–" : `${time(webhooks.lastTakenSecondsAgo)} ago`],
    ["Taken a second", figure(taken)],
    [
      "Not taken a second",
      figure(
        taken === null
          ? null
          : (metrics.rate("webhooks_total") ?? 0) -
              taken -
              (metrics.rate("webhooks_total", { outcome: "repeated" }) ?? 0),
      ),
    ],
  ]);
  showTier(metrics, sharedTier, readiness.engage.budget);
}

/** @param {Metrics} metrics  @param {any} tier  @param {any} budget */
function showTier(metrics, tier, budget) {
  if (!tier) {
    fillFacts(byId("tier-facts"), [["State", badge("idle", "not configured")]]);
    return;
  }
  const last = tier.roundTripMilliseconds;
  fillFacts(byId("tier-facts"), [
    ["State", badge(tier.available ? "good" : "bad", tier.state)],
    ["For", time(tier.sinceSeconds)],
    ["Replicas", count(tier.replicas)],
    ["Round trip", last ? `${duration(last.last / 1000)}, usually ${duration(last.average / 1000)}` : "–"],
    ["Caught up", tier.caughtUpSecondsAgo === null ? "–" : `${time(tier.caughtUpSecondsAgo)} ago`],
    ["Gaps in the stream", count(tier.gaps)],
    ["Call budget", budget ? `${budget.mode}, ${count(budget.replicas)} replicas` : "–"],
    ["Operations a second", figure(metrics.rate("shared_tier_operations_total"))],
  ]);
}

/** @param {HTMLElement} table  @param {Metrics} metrics  @param {number} now */
export function showClients(table, metrics, now) {
  const requests = "client_requests_total";
  const names = [
    "Client",
    "Last seen",
    "A second",
    "Refused",
    "Limited",
    "Guarded",
    "Failed",
    "Unknown contacts",
    "Guard",
  ];
  const columns = names.map((name, index) => ({ name, isNumber: index > 0 && name !== "Guard" }));
  const rows = metrics.values(requests, "client").map((client) => {
    const of = (/** @type {string} */ outcome) => figure(metrics.rate(requests, { client, outcome }));
    const isTripped = metrics.value("client_guard_tripped", { client });
    return [
      client,
      ago(metrics.value("client_last_seen_timestamp_seconds", { client }), now),
      figure(metrics.rate(requests, { client })),
      of("refused"),
      of("limited"),
      of("guarded"),
      of("failed"),
      of("not_found"),
      isTripped === null ? "–" : badge(isTripped ? "bad" : "good", isTripped ? "tripped" : "quiet"),
    ];
  });
  fillTable(
    table,
    "Clients, with requests a second by outcome",
    columns,
    rows,
    "This replica does not count clients.",
  );
}

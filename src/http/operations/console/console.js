// @ts-check
// The console: signs in, watches the events, and shows them. What is asked for and changed is in lookup.js and actions.js.

import { setUpActions, showReload, showSwitch } from "./actions.js";
import { failedCalls } from "./calls.js";
import { conditions } from "./conditions.js";
import { Chart } from "./charts.js";
import { setUpLookUp } from "./lookup.js";
import { Metrics, WINDOW } from "./metrics.js";
import { showCache, showClients, showGroups, showParts, showProblems, showTiles } from "./panels.js";
import { forgetToken, needsToken, Refusal, signIn, watch } from "./session.js";
import { badge, byId, duration, element, figure } from "./view.js";

const metrics = new Metrics();
/** Ends the stream of events. */
let stream = new AbortController();

/** What the cache did for a response, from the most usual on, each with its colour. @type {[string, number][]} */
const OUTCOMES = [
  ["hit", 1],
  ["shared", 2],
  ["stale", 3],
  ["miss", 4],
  ["request", 5],
  ["bypass", 6],
  ["stale-if-slow", 7],
  ["stale-if-error", 8],
  ["guest", 9],
];
const REQUESTS = "customer_request_duration_seconds";

/** @type {Record<string, Chart>} */
let charts = {};

function makeCharts() {
  charts = {
    outcomes: new Chart(byId("chart-outcomes"), {
      title: "What the cache did",
      unit: "responses a second",
      format: figure,
      isStacked: true,
      empty: "No requests yet",
    }),
    latency: new Chart(byId("chart-latency"), {
      title: "Response time",
      unit: "of responses about customers",
      format: duration,
    }),
    upstream: new Chart(byId("chart-upstream"), {
      title: "Engage's response time",
      unit: "95th percentile by group",
      format: duration,
      empty: "No calls yet",
    }),
    calls: new Chart(byId("chart-calls"), { title: "Calls to Engage", unit: "a second", format: figure }),
  };
}

/** @param {number} at */
function pushCharts(at) {
  const seen = OUTCOMES.filter(([outcome]) => (metrics.value(`${REQUESTS}_count`, { cache: outcome }) ?? 0) > 0);
  charts.outcomes.push(
    at,
    seen.map(([name, color]) => ({ name, color })),
    seen.map(([cache]) => metrics.rate(`${REQUESTS}_count`, { cache })),
  );
  const quantiles = [0.5, 0.95, 0.99];
  charts.latency.push(
    at,
    [
      { name: "50 %", color: 1 },
      { name: "95 %", color: 4 },
      { name: "99 %", color: 8 },
    ],
    quantiles.map((quantile) => metrics.quantile(REQUESTS, quantile)),
  );
  const duration = "engage_call_duration_seconds";
  const groups = metrics.values(`${duration}_count`, "group");
  const called = groups.filter((group) => (metrics.value(`${duration}_count`, { group }) ?? 0) > 0);
  charts.upstream.push(
    at,
    called.map((name) => ({ name, color: 1 + (groups.indexOf(name) % 9) })),
    called.map((group) => metrics.quantile(duration, 0.95, { group })),
  );
  const lines = [
    { name: "calls", color: 1 },
    { name: "failed", color: 8 },
  ];
  const failed = failedCalls(metrics);
  const values = [metrics.rate("engage_calls_total"), failed === null ? null : failed / WINDOW];
  const budget = metrics.value("engage_budget_calls_per_second");
  if (budget !== null) {
    lines.push({ name: "budget", color: 3 });
    values.push(budget);
  }
  charts.calls.push(at, lines, values);
}

/** @param {string} name  @param {import("./session.js").Event} event */
function onEvent(name, event) {
  const at = Date.parse(event.at) / 1000;
  metrics.take(at, event.samples, name === "samples");
  const { readiness } = event;
  const ready = byId("readiness");
  ready.hidden = false;
  ready.replaceChildren(readiness.ready ? badge("good", "Ready") : badge("bad", "Takes no traffic"));
  const version = metrics.labels("build_info")?.version;
  byId("version").textContent = version ? version : "";
  showConditions(conditions(metrics, readiness));
  showTiles(byId("tiles"), metrics, readiness);
  showParts(byId("parts"), metrics);
  showProblems(byId("problems"), metrics);
  showGroups(byId("groups"), metrics, readiness);
  showCache(metrics, readiness, at);
  showClients(byId("client-table"), metrics, at);
  showSwitch(readiness.cache.enabled);
  showReload(readiness.reload);
  pushCharts(at);
}

/** Shows the conditions; only changes, so that a screen reader reads each once. @param {import("./conditions.js").Condition[]} all */
function showConditions(all) {
  const list = byId("conditions");
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const items = all.map(({ key, kind, text, detail }) => {
    const item =
      known.get(key) ??
      element(
        "li",
        { "data-key": key, class: kind },
        badge(kind, text),
        element("span", { class: "detail", "aria-live": "off" }),
      );
    const shown = item.querySelector(".detail");
    if (shown && shown.textContent !== detail) shown.textContent = detail;
    return item;
  });
  const isSame = items.length === list.children.length && items.every((item, index) => item === list.children[index]);
  if (!isSame) list.replaceChildren(...items);
}

/** @param {"live" | "lost"} state  @param {string} why */
function onState(state, why) {
  const live = byId("live");
  document.body.classList.toggle("lost", state === "lost");
  if (live.dataset.state === state + why) return;
  live.dataset.state = state + why;
  live.replaceChildren(
    state === "live" ? badge("good", "Live") : badge("bad", "No connection"),
    state === "live" ? "" : ` ${why} Trying again.`,
  );
  if (state === "lost") metrics.forget();
}

async function start() {
  byId("login").hidden = true;
  byId("app").hidden = false;
  byId("sections").hidden = false;
  makeCharts();
  stream = new AbortController();
  try {
    await watch(onEvent, onState, stream.signal);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    signOut("The token is not valid any more.");
  }
}

/** @param {string} why */
function signOut(why) {
  stream.abort();
  forgetToken();
  for (const id of ["app", "sections", "readiness", "sign-out"]) byId(id).hidden = true;
  byId("look-up-result").replaceChildren();
  for (const id of ["look-up-status", "purge-status", "switch-status", "reload-status", "live"])
    byId(id).replaceChildren();
  byId("live").dataset.state = "";
  showLogin(why);
}

/** @param {string} why */
function showLogin(why) {
  byId("login").hidden = false;
  byId("login-error").textContent = why;
  byId("token").focus();
}

async function onSignIn() {
  const field = byId("token");
  byId("login-error").textContent = "";
  try {
    await signIn(field.value);
  } catch (error) {
    const isWrong = error instanceof Refusal && error.status === 401;
    showLogin(isWrong ? "This is not the token." : String(error instanceof Error ? error.message : error));
    field.select();
    return;
  }
  field.value = "";
  byId("sign-out").hidden = false;
  start();
  byId("main").focus();
}

async function begin() {
  setUpLookUp();
  setUpActions();
  byId("login-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    onSignIn();
  });
  byId("sign-out").addEventListener("click", () => signOut(""));
  for (;;) {
    try {
      if (await needsToken()) showLogin("");
      else start();
      return;
    } catch (error) {
      onState("lost", String(error instanceof Error ? error.message : error));
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

begin();

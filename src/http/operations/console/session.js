// @ts-check
// Requests to the operations listener, with the operator's token, and the stream of events. The token is in a variable of
// this module and nowhere else.

/** @type {string | null} */
let token = null;

/** The longest pause before another attempt, in milliseconds. */
const MAX_PAUSE = 15_000;
/** After so many milliseconds without an event the connection counts as dead. */
const SILENCE = 5_000;

/** @typedef {{at: string, readiness: any, samples: Record<string, number | null>}} Event */

/** A problem that the service sent, or a connection that failed. */
export class Refusal extends Error {
  /** @param {number} status  @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {string} path  @param {RequestInit} init */
async function send(path, init) {
  const headers = new Headers(init.headers);
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  let response;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refusal(0, "The replica does not answer.");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const code = problem.code ? ` (${problem.code})` : "";
  throw new Refusal(response.status, `${problem.detail ?? `Status ${response.status}.`}${code}`);
}

/** Whether this listener has a token. */
export async function needsToken() {
  const response = await send("console/settings.json", {});
  return Boolean((await response.json()).needsToken);
}

/** Tries the token, and keeps it if it is the right one. @param {string} tried */
export async function signIn(tried) {
  const kept = token;
  token = tried;
  try {
    await send("cache/enabled", {});
  } catch (error) {
    token = kept;
    throw error;
  }
}

export function forgetToken() {
  token = null;
}

/**
 * Sends a request, with a body in JSON if there is one. The JSON of the response, or null.
 * @param {string} method  @param {string} path  @param {unknown} [body]
 */
export async function request(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
  const response = await send(path, init);
  return response.status === 204 ? null : response.json();
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Reads the events until the token is refused or `signal` aborts; connects again whenever the stream ends.
 * @param {(name: string, event: Event) => void} onEvent
 * @param {(state: "live" | "lost", why: string) => void} onState
 * @param {AbortSignal} signal
 */
export async function watch(onEvent, onState, signal) {
  let failures = 0;
  while (!signal.aborted) {
    try {
      await readEvents((name, event) => {
        failures = 0;
        onState("live", "");
        onEvent(name, event);
      }, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.status === 401) throw error;
      onState("lost", error instanceof Refusal ? error.message : "The connection broke.");
    }
    // Spread, so that many pages do not come back at once.
    await pause(Math.min(MAX_PAUSE, 500 * 2 ** failures) * (0.75 + Math.random() / 2));
    failures += 1;
  }
}

/** @param {(name: string, event: Event) => void} onEvent  @param {AbortSignal} outer */
async function readEvents(onEvent, outer) {
  const silence = new AbortController();
  const signal = AbortSignal.any([outer, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE);
  try {
    const response = await send("events", { signal });
    if (!response.body) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let unread = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      unread += value;
      const events = unread.split("\n\n");
      unread = events.pop() ?? "";
      for (const text of events) {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENCE);
        const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(text) ?? [];
        if (name) onEvent(name, JSON.parse(data));
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

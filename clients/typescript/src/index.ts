/**
 * A client of engage-bff. One method for each job; no method throws or rejects for what can happen in production:
 * each resolves to a {@link Result}, whose `failure` has a `code` to switch on.
 */
import type { components } from "./generated.js";
import { type Exact, parse } from "./exact.js";
import { type Failure, type Problem, failure } from "./failure.js";
import { lines } from "./lines.js";

export type { Failure, Problem, ProblemCode } from "./failure.js";
export type { Exact } from "./exact.js";

type Schemas = components["schemas"];

/** One customer, with exact amounts; with `onUnavailable: "guest"` it may be a guest, whose `contactId` is `null`. */
export type Customer = Exact<Schemas["Customer"]> | Exact<Schemas["Guest"]>;
/** How to find a customer, and what to return of it: the body of `POST /customer/lookup`. */
export type Lookup = Schemas["LookupRequest"];
/** The parameters of `me`: a look-up without an identifier. */
export type View = Omit<Lookup, Identifier>;
/** The customer to cache: the body of `POST /customer/prefetch`. */
export type Prefetch = Schemas["PrefetchRequest"];
/** The change that is reported: the body of `POST /customer/changed`. */
export type Change = Schemas["ChangeReport"];
/** The body of `POST /customer/batch` without its look-ups. */
export type BatchOptions = Omit<Schemas["BatchRequest"], "lookups">;
/** One look-up of a batch. */
export type BatchLookup = Schemas["BatchLookup"];
/** A part that can be requested fresh. */
export type FreshPart = NonNullable<Lookup["fresh"]>[number];

type Identifier =
  | "contactId"
  | "email"
  | "mobilePhone"
  | "socialSecurityNumber"
  | "customKey"
  | "any";

/** What a method resolves to. */
export type Result<T> =
  | ({ ok: true; requestId: string | undefined } & T)
  | { ok: false; failure: Failure };

/** A line of a batch: the look-up that it answers, and its result. */
export type BatchLine = { index: number } & (
  | { ok: true; customer: Customer }
  | { ok: false; failure: Failure }
);

/** The options of a client. */
export interface ClientOptions {
  /** The URL of the service, without a path, such as `https://bff.example.com`. */
  baseUrl: string;
  /** A server's key. Never in a browser. */
  apiKey?: string;
  /** The shopper's token; called for each attempt, so that it may renew it. What it throws is a `TokenFailed`. */
  token?: () => string | undefined | Promise<string | undefined>;
  /** The most milliseconds that a call may take, repeats included. Default: 4000. */
  deadline?: number;
  /** How often a call is repeated if the service says that this may help. Default: 2. */
  retries?: number;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch;
}

/** The options of one call. */
export interface CallOptions {
  /** Ends the call. */
  signal?: AbortSignal;
  /** Instead of the client's. */
  deadline?: number;
}

interface Kept {
  etag: string;
  customer: Customer;
}

/** How many responses are kept for their entity tags, of the last requests. */
const KEPT = 50;

/** Makes calls to one service, as one caller. */
export class Client {
  readonly #options: ClientOptions;
  readonly #base: string;
  readonly #kept = new Map<string, Kept>();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#base = options.baseUrl.replace(/\/+$/, "");
  }

  /** One customer. Identifiers other than the contact id travel in a body, where no log of a proxy shows them. */
  customer(lookup: Lookup, options?: CallOptions): Promise<Result<{ customer: Customer }>> {
    return lookup.contactId === undefined
      ? this.#customer("/customer/lookup", lookup, options)
      : this.#customer(`/customer?${query(lookup)}`, undefined, options);
  }

  /** The shopper that the token names. */
  me(view: View = {}, options?: CallOptions): Promise<Result<{ customer: Customer }>> {
    const parameters = query(view);
    return this.#customer(`/customer/me${parameters && `?${parameters}`}`, undefined, options);
  }

  /** One customer, with these parts as they are in Engage now: for a checkout, or at the till. */
  fresh(
    lookup: Omit<Lookup, "fresh">,
    parts: FreshPart[],
    options?: CallOptions,
  ): Promise<Result<{ customer: Customer }>> {
    return this.customer({ ...lookup, fresh: parts } as Lookup, options);
  }

  /** Caches a customer before it is needed. */
  async prefetch(whom: Prefetch, options?: CallOptions): Promise<Result<object>> {
    return this.#send("/customer/prefetch", { body: whom, ...options }, async () => ({}));
  }

  /** Reports that these parts of a customer have just been changed in Engage. Call it after the change. */
  async changed(what: Change, options?: CallOptions): Promise<Result<object>> {
    return this.#send("/customer/changed", { body: what, ...options }, async () => ({}));
  }

  /**
   * Up to a hundred customers. Each look-up gets exactly one line, in the order in which they become known, whatever
   * happens to the batch as a whole.
   */
  async *batch(
    lookups: BatchLookup[],
    batch: BatchOptions = {},
    options?: CallOptions,
  ): AsyncGenerator<BatchLine, void, undefined> {
    const missing = new Set(lookups.keys());
    const all = { deadline: 15_000, ...options, body: { ...batch, lookups } };
    let ending: Failure = { code: "NetworkFailed", cause: new Error("the response ended early") };
    const result = await this.#send("/customer/batch", all, async (response, ended) => ({
      lines: lines(response, ended),
    }));
    if (result.ok) {
      try {
        for await (const line of result.lines) {
          const { index, customer, problem, retryAfter } = parse(line) as RawLine;
          missing.delete(index);
          yield problem
            ? { index, ok: false, failure: failure(problem, retryAfter) }
            : { index, ok: true, customer: customer as Customer };
        }
      } catch (cause) {
        ending = reason(cause, options?.signal);
      }
    } else {
      ending = result.failure;
    }
    for (const index of missing) yield { index, ok: false, failure: ending };
  }

  /** Drops the kept responses. Call it when the shopper logs out. */
  forget(): void {
    this.#kept.clear();
  }

  async #customer(
    path: string,
    body: unknown,
    options: CallOptions = {},
  ): Promise<Result<{ customer: Customer }>> {
    let key = "";
    let kept: Kept | undefined;
    const condition = (token: string | undefined): Record<string, string> => {
      // The key contains the token, so that no other shopper's response is ever returned.
      key = `${token ?? ""} ${path}`;
      kept = body === undefined ? this.#kept.get(key) : undefined;
      return kept ? { "If-None-Match": kept.etag } : {};
    };
    return this.#send(path, { body, condition, ...options }, async (response) => {
      const etag = response.headers.get("ETag");
      const customer = response.status === 304 && kept ? kept.customer : await read(response);
      this.#kept.delete(key);
      if (etag && body === undefined) this.#kept.set(key, { etag, customer });
      const oldest = this.#kept.keys().next();
      if (this.#kept.size > KEPT && !oldest.done) this.#kept.delete(oldest.value);
      return { customer };
    });
  }

  /** Sends a request, and repeats it as long as the service says that this may help and the deadline allows. */
  async #send<T extends object>(
    path: string,
    call: CallOptions & Request,
    accept: (response: Response, ended: AbortSignal) => Promise<T>,
  ): Promise<Result<T>> {
    const end = Date.now() + (call.deadline ?? this.#options.deadline ?? 4000);
    for (let repeats = this.#options.retries ?? 2; ; repeats -= 1) {
      // A new signal for each attempt: listeners of a finished one must not pile up at the caller's.
      const late = AbortSignal.timeout(Math.max(0, end - Date.now()));
      const ended = call.signal ? AbortSignal.any([late, call.signal]) : late;
      try {
        const response = await this.#attempt(path, call, ended);
        const requestId = response.headers.get("X-Request-Id") ?? undefined;
        if (response.ok || response.status === 304) {
          return { ok: true, requestId, ...(await accept(response, ended)) };
        }
        const failed = await refused(response);
        const wait = repeats > 0 ? delay(failed) : undefined;
        if (wait === undefined || Date.now() + wait >= end) return { ok: false, failure: failed };
        await sleep(wait, ended);
      } catch (cause) {
        return { ok: false, failure: reason(cause, call.signal) };
      }
    }
  }

  /** The shopper's token, if there is one in time. */
  async #token(ended: AbortSignal): Promise<string | undefined> {
    ended.throwIfAborted();
    const late = new Promise<never>((_, reject) => ended.addEventListener("abort", () => reject(ended.reason)));
    try {
      return await Promise.race([late, (async () => this.#options.token?.())()]);
    } catch (cause) {
      throw ended.aborted ? cause : new TokenFailed(cause);
    }
  }

  async #attempt(path: string, call: Request, signal: AbortSignal): Promise<Response> {
    const { apiKey, fetch: send = fetch } = this.#options;
    const token = await this.#token(signal);
    // With `If-None-Match`, or without any caching, `fetch` adds `Cache-Control: no-cache`. For a caller with the scope
    // `customer:fresh` everything would then be fetched from Engage. If the request has the field, `fetch` adds none.
    const headers: Record<string, string> = { "Cache-Control": "no-transform", ...call.condition?.(token) };
    if (apiKey) headers["X-Api-Key"] = apiKey;
    if (token) headers["Authorization"] = `Bearer ${token}`;
    const init: RequestInit = { headers, signal, cache: "no-store", credentials: "omit" };
    if (call.body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.method = "POST";
      init.body = JSON.stringify(call.body);
    }
    return send(this.#base + path, init);
  }
}

/** What is sent: the body, which a `GET` has not, and the header fields that depend on the token. */
interface Request {
  body?: unknown;
  condition?: (token: string | undefined) => Record<string, string>;
}

/** Why a call has no token. */
class TokenFailed {
  constructor(readonly cause: unknown) {}
}

/** A line of a batch as it is sent. */
interface RawLine {
  index: number;
  customer?: unknown;
  problem?: Problem;
  retryAfter?: number;
}

/** The parameters of a URL; lists with commas. */
function query(parameters: object): string {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== undefined);
  // An empty list of parts is written `none` in a URL.
  return new URLSearchParams(
    pairs.map(([name, value]) => [name, Array.isArray(value) ? value.join() || "none" : String(value)]),
  ).toString();
}

async function read(response: Response): Promise<Customer> {
  return parse(await response.text()) as Customer;
}

/** The failure that a response describes. Its body may be a proxy's. */
async function refused(response: Response): Promise<Failure> {
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.startsWith("application/problem+json")) {
    return { code: "Unreadable", status: response.status };
  }
  const seconds = response.headers.get("Retry-After");
  const problem = JSON.parse(await response.text()) as Problem;
  return failure(problem, seconds === null ? undefined : Number(seconds));
}

/** After how many milliseconds to repeat a request; `undefined`: not at all. */
function delay(failed: Failure): number | undefined {
  if (!("retryAfter" in failed) || failed.retryAfter === undefined || !failed.retryable) return;
  // Jitter, so that callers that were refused together do not come back together.
  return failed.retryAfter * 1000 + Math.random() * 250;
}

function sleep(milliseconds: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    ended.addEventListener("abort", () => (clearTimeout(timer), reject(ended.reason)), { once: true });
  });
}

/** What an exception means. */
function reason(cause: unknown, signal: AbortSignal | undefined): Failure {
  if (signal?.aborted) return { code: "Aborted" };
  if (cause instanceof TokenFailed) return { code: "TokenFailed", cause: cause.cause };
  if (cause instanceof DOMException && cause.name === "TimeoutError") return { code: "DeadlineExceeded" };
  if (cause instanceof SyntaxError) return { code: "Unreadable", status: 200 };
  return { code: "NetworkFailed", cause };
}

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type BatchLine, Client, type ClientOptions, type Failure, type Result } from "../src/index.js";
import { ALVA, BO, SHOP, SLOW, Service, TILL } from "./service.js";
import { token } from "./token.js";

let service: Service;

beforeAll(async () => {
  service = await Service.start();
});
afterAll(async () => service.stop());
beforeEach(async () => {
  await service.control("faults", undefined, "DELETE");
  await service.control("calls", undefined, "DELETE");
});

/** A client, and the status of each response that it got. */
function recording(options: Partial<ClientOptions>): { client: Client; seen: [string, number][] } {
  const seen: [string, number][] = [];
  const record: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    seen.push([String(input).slice(service.url.length), response.status]);
    return response;
  };
  return { client: new Client({ baseUrl: service.url, fetch: record, ...options }), seen };
}

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result;
}

function refusal(result: Result<object>): Failure {
  if (result.ok) throw new Error("a failure was expected");
  return result.failure;
}

const till = (): Client => new Client({ baseUrl: `${service.url}/`, apiKey: TILL });

describe("customer", () => {
  test("is found by every kind of identifier, which no URL contains but the contact id", async () => {
    const { client, seen } = recording({ apiKey: SHOP });
    for (const lookup of [{ contactId: ALVA.id }, { email: ALVA.email }, { mobilePhone: "+46701740605" }]) {
      const { customer } = value(await client.customer(lookup));
      expect(customer.contactId).toBe(ALVA.id);
    }
    expect(seen).toEqual([
      [`/customer?contactId=${ALVA.id}`, 200],
      ["/customer/lookup", 200],
      ["/customer/lookup", 200],
    ]);
  });

  test("has amounts as they were sent, to the last digit", async () => {
    await service.control(`contacts/${ALVA.id}`, [{ points: "90071992547409.93" }]);
    const client = till();
    const { customer } = value(await client.fresh({ contactId: ALVA.id }, ["points"]));
    expect(customer.points?.balanceExact).toBe("90071992547409.93");
    expect(customer.points?.accounts[0]?.balanceExact).toBe("90071992547409.93");
    expect(customer.vouchers?.[0]?.value?.amountExact).toMatch(/^\d+(\.\d+)?$/);
    await service.control(`contacts/${ALVA.id}`, [{ points: "317.5" }]);
    value(await client.fresh({ contactId: ALVA.id }, ["points"]));
  });

  test("costs a 304 when it is asked for again, and is the same", async () => {
    const { client, seen } = recording({ apiKey: SHOP });
    const first = value(await client.customer({ contactId: ALVA.id }));
    const second = value(await client.customer({ contactId: ALVA.id }));
    expect(second.customer).toEqual(first.customer);
    // Neither was taken for a demand for fresh data.
    const calls = (await service.control("calls", undefined, "GET")) as { counts: object };
    expect(calls.counts).toMatchObject({ contact: 0, vouchers: 0, promotions: 0 });
    expect(seen.map(([, status]) => status)).toEqual([200, 304]);
    client.forget();
    value(await client.customer({ contactId: ALVA.id }));
    expect(seen.at(-1)?.[1]).toBe(200);
  });

  test("that is unknown is a failure with a code", async () => {
    const failed = refusal(await till().customer({ email: "unknown@example.com" }));
    expect(failed).toMatchObject({ code: "ContactNotFound", status: 404, retryable: false });
  });

  test("of several is a failure with the candidates", async () => {
    const failed = refusal(await till().customer({ email: "shared@example.com" }));
    if (failed.code !== "MultipleMatches") throw new Error(failed.code);
    expect(failed.problem.candidates).toHaveLength(2);
  });

  test("is a guest where Engage is out of reach and the caller prefers that", async () => {
    await service.control("faults", { endpoint: "all", fault: "html502" });
    const lookup = { email: "new.guest@example.com", onUnavailable: "guest" } as const;
    const { customer } = value(await till().customer(lookup));
    expect(customer.contactId).toBeNull();
    expect(customer.degraded).toContain("profile");
  });
});

describe("a shopper", () => {
  test("reads and reports itself with a token, which is renewed for each attempt", async () => {
    let tokens = 0;
    const { client, seen } = recording({ token: () => (tokens++, token(ALVA.id)) });
    expect(value(await client.me({ parts: [] })).customer.contactId).toBe(ALVA.id);
    value(await client.changed({ contactId: ALVA.id, parts: ["points"] }));
    expect(tokens).toBeGreaterThanOrEqual(2);
    expect(seen).toEqual([
      ["/customer/me?parts=none", 200],
      ["/customer/changed", 204],
    ]);
  });

  test("without a token to be had is a failure, in time, and nothing is sent", async () => {
    const ended = new Error("the session has ended");
    for (const token of [() => Promise.reject(ended), () => { throw ended; }]) {
      const { client, seen } = recording({ token });
      expect(refusal(await client.me())).toEqual({ code: "TokenFailed", cause: ended });
      expect(refusal(await client.changed({ contactId: ALVA.id }))).toEqual({ code: "TokenFailed", cause: ended });
      expect(seen).toEqual([]);
    }
    const never = recording({ token: () => new Promise<string>(() => undefined), deadline: 50 });
    expect(refusal(await never.client.me()).code).toBe("DeadlineExceeded");
    expect(never.seen).toEqual([]);
  });

  test("may say which of several it is, also where its token does", async () => {
    const { client } = recording({ token: () => token(ALVA.id) });
    for (const view of [{ prefer: "Member" }, { contactType: "Member" }]) {
      expect(value(await client.me({ parts: [], ...view })).customer.contactId).toBe(ALVA.id);
    }
  });

  test("never gets what was kept for another", async () => {
    let whose = token(ALVA.id);
    const { client, seen } = recording({ token: () => whose });
    expect(value(await client.me()).customer.contactId).toBe(ALVA.id);
    whose = token(BO);
    expect(value(await client.me()).customer.contactId).toBe(BO);
    expect(seen.map(([, status]) => status)).toEqual([200, 200]);
  });
});

describe("changes and prefetches", () => {
  test("a reported change makes the next read ask Engage", async () => {
    const client = till();
    value(await client.customer({ contactId: ALVA.id }));
    await service.control(`contacts/${ALVA.id}`, [{ points: "41" }]);
    value(await client.changed({ contactId: ALVA.id, parts: ["points"] }));
    expect(value(await client.customer({ contactId: ALVA.id })).customer.points?.balanceExact).toBe("41");
  });

  test("a prefetch is accepted, and a malformed one refused", async () => {
    value(await till().prefetch({ email: ALVA.email }));
    expect(refusal(await till().prefetch({ email: "no address" })).code).toBe("InvalidEmailAddress");
  });
});

describe("batch", () => {
  const collect = async (lines: AsyncIterable<BatchLine>): Promise<BatchLine[]> => {
    const all: BatchLine[] = [];
    for await (const line of lines) all.push(line);
    return all.sort((one, other) => one.index - other.index);
  };

  test("gives a line for each look-up", async () => {
    const lookups = [{ email: ALVA.email }, { email: "unknown@example.com" }, { contactId: "no id" }];
    const lines = await collect(till().batch(lookups));
    expect(lines).toMatchObject([
      { index: 0, ok: true, customer: { contactId: ALVA.id } },
      { index: 1, ok: false, failure: { code: "ContactNotFound" } },
      { index: 2, ok: false, failure: { code: "InvalidContactId" } },
    ]);
  });

  test("that is refused as a whole gives each look-up that failure", async () => {
    const client = new Client({ baseUrl: service.url, apiKey: SHOP });
    const lines = await collect(client.batch([{ email: ALVA.email }, { email: ALVA.email }]));
    expect(lines).toMatchObject([
      { index: 0, failure: { code: "Forbidden" } },
      { index: 1, failure: { code: "Forbidden" } },
    ]);
  });
});

describe("failures on the way", () => {
  let stub: Server;
  let address: string;
  let answer: (path: string) => [number, Record<string, string>, string] | undefined;
  let asked = 0;

  beforeAll(async () => {
    stub = createServer((request, response) => {
      asked += 1;
      const [status, headers, body] = answer(request.url ?? "") ?? [];
      if (status !== undefined) response.writeHead(status, headers).end(body);
    });
    await new Promise<void>((listening) => stub.listen(0, "127.0.0.1", listening));
    address = `http://127.0.0.1:${(stub.address() as AddressInfo).port}`;
  });
  beforeEach(() => (asked = 0));
  afterAll(() => (stub.closeAllConnections(), stub.close()));
  const lookup = { contactId: ALVA.id };

  test("a refusal for now is repeated after Retry-After, within the deadline", async () => {
    const { client, seen } = recording({ apiKey: SLOW, deadline: 5000 });
    const results = await Promise.all([1, 2].map(() => client.customer(lookup)));
    expect(results.map((result) => result.ok)).toEqual([true, true]);
    expect(seen.filter(([, status]) => status === 429).length).toBeGreaterThan(0);
    const impatient = new Client({ baseUrl: service.url, apiKey: SLOW, deadline: 500 });
    const failed = await Promise.all([1, 2, 3].map(() => impatient.customer(lookup)));
    const limited = failed.filter((result) => !result.ok && result.failure.code === "RateLimited");
    expect(limited.length).toBeGreaterThan(0);
  });

  test("nothing is repeated where the service does not say so", async () => {
    const problem = { type: "about:blank", title: "", status: 502, detail: "", code: "UpstreamFailed", retryable: true };
    answer = () => [502, { "Content-Type": "application/problem+json" }, JSON.stringify(problem)];
    const failed = refusal(await new Client({ baseUrl: address }).customer(lookup));
    expect([failed.code, asked]).toEqual(["UpstreamFailed", 1]);
  });

  test("a code that is not known yet keeps its name", async () => {
    const problem = { type: "about:blank", title: "", status: 400, detail: "", code: "FromEngage", retryable: false };
    answer = () => [400, { "Content-Type": "application/problem+json" }, JSON.stringify(problem)];
    const failed = refusal(await new Client({ baseUrl: address }).customer(lookup));
    expect(failed).toMatchObject({ code: "Other", originalCode: "FromEngage" });
  });

  test("a proxy's page, a broken body, a broken connection and a closed port have codes of their own", async () => {
    const client = new Client({ baseUrl: address });
    answer = () => [502, { "Content-Type": "text/html" }, "<h1>Bad Gateway</h1>"];
    expect(refusal(await client.customer(lookup))).toEqual({ code: "Unreadable", status: 502 });
    answer = () => [200, { "Content-Type": "application/json" }, "{"];
    expect(refusal(await client.customer(lookup)).code).toBe("Unreadable");
    const closed = new Client({ baseUrl: "http://127.0.0.1:9" });
    expect(refusal(await closed.customer(lookup)).code).toBe("NetworkFailed");
  });

  test("a batch whose response ends early gives the rest of the look-ups a failure", async () => {
    const line = { index: 1, status: 200, customer: { contactId: ALVA.id } };
    answer = () => [200, { "Content-Type": "application/x-ndjson" }, `${JSON.stringify(line)}\n{"index":0,"sta`];
    const lines: BatchLine[] = [];
    for await (const one of new Client({ baseUrl: address }).batch([lookup, lookup])) lines.push(one);
    expect(lines).toMatchObject([
      { index: 1, ok: true },
      { index: 0, ok: false, failure: { code: "NetworkFailed" } },
    ]);
  });

  test("the deadline and the caller's signal end a call", async () => {
    answer = () => undefined;
    const client = new Client({ baseUrl: address, deadline: 50 });
    expect(refusal(await client.customer(lookup)).code).toBe("DeadlineExceeded");
    const leaving = new AbortController();
    const left = client.customer(lookup, { signal: leaving.signal, deadline: 60_000 });
    leaving.abort();
    expect(refusal(await left).code).toBe("Aborted");
  });
});

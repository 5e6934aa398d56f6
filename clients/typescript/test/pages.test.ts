/** What pages do with the client: the example of the README, as it is printed, and the React hook. */
import { JSDOM } from "jsdom";
import { act, createElement } from "react";
import { createRoot } from "react-dom/client";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Client } from "../src/index.js";
import { useMe } from "../src/react.js";
import { myPages } from "./printed/my-pages.js";
import { ALVA, Service } from "./service.js";
import { token } from "./token.js";

let service: Service;
let page: HTMLElement;

beforeAll(async () => {
  service = await Service.start();
  const { window } = new JSDOM("<!doctype html><main></main>", { url: "https://shop.example.com/me" });
  Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });
});
afterAll(async () => service.stop());
beforeEach(() => {
  page = document.querySelector("main")!;
  page.replaceChildren();
});

describe("the printed My Pages", () => {
  test("shows the shopper", async () => {
    await myPages(page, service.url, async () => token(ALVA.id));
    const texts = [...page.children].map((row) => row.textContent);
    expect(texts[0]).toBe("Hello Alva");
    expect(texts).toContain("317.5 points");
    expect(texts.some((text) => /^.+: \d+ SEK \(\d+\)$/.test(text ?? ""))).toBe(true);
  });

  test("renews a token once, and else leads to the log-in", async () => {
    const asked: boolean[] = [];
    await myPages(page, service.url, async (renew) => (asked.push(renew), renew ? token(ALVA.id) : "an-old-token"));
    expect(asked).toEqual([false, true]);
    expect(page.textContent).toContain("Hello Alva");
    let led = "";
    Object.assign(globalThis, { location: { assign: (path: string) => (led = path) } });
    await myPages(page, service.url, async () => "an-old-token");
    expect(led).toBe("/login");
    led = "";
    await myPages(page, service.url, () => Promise.reject(new Error("the session has ended")));
    expect(led).toBe("/login");
  });

  test("says so where the shopper is no member, and where the service is out of reach", async () => {
    await myPages(page, service.url, async () => token("00000000-0000-4000-8000-000000000000"));
    expect(page.textContent).toBe("You are not a member yet.");
    await myPages(page, service.url, async () => token("00000000-0000-4000-8000-000000000000"), true);
    expect(page.textContent).toContain("Welcome!");
    await myPages(page, "http://127.0.0.1:9", async () => token(ALVA.id));
    expect(page.textContent).toContain("not available right now");
  });
});

describe("useMe", () => {
  test("renders the shopper, reads again on demand, and stops when the page leaves", async () => {
    let reads = 0;
    const counting: typeof fetch = (input, init) => ((reads += 1), fetch(input, init));
    const client = new Client({ baseUrl: service.url, token: () => token(ALVA.id), fetch: counting });
    let again = (): void => undefined;
    const Greeting = (): string => {
      const { result, refresh } = useMe(client, { parts: [] });
      again = refresh;
      return result?.ok ? `Hello ${result.customer.profile?.firstName}` : "…";
    };
    const root = createRoot(page);
    const shown = async (text: string, count: number): Promise<void> =>
      expect.poll(() => act(async () => [page.textContent, reads])).toEqual([text, count]);
    await act(async () => root.render(createElement(Greeting)));
    await shown("Hello Alva", 1);
    await act(async () => again());
    await shown("Hello Alva", 2);
    await act(async () => root.unmount());
    expect(page.textContent).toBe("");
  });
});

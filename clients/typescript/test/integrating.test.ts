/** The examples of docs/INTEGRATING.md, as they are printed, against the real service. */
import { readFileSync } from "node:fs";
import { JSDOM } from "jsdom";
import { Liquid } from "liquidjs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client } from "../src/index.js";
import { ALVA, SHOP, Service } from "./service.js";
import { token } from "./token.js";

let service: Service;
beforeAll(async () => {
  service = await Service.start();
});
afterAll(async () => service.stop());

test("the server component of Next.js greets a customer, and a visitor where there is none", async () => {
  Object.assign(process.env, { BFF_URL: service.url, BFF_KEY: SHOP });
  const { default: Greeting, dynamic } = await import("./printed/next.js");
  expect(dynamic).toBe("force-dynamic");
  expect(await Greeting({ contactId: ALVA.id })).toBe("Hello Alva");
  expect(await Greeting({ contactId: "00000000-0000-4000-8000-000000000000" })).toBe("Welcome");
});

describe("the Liquid theme", () => {
  const engine = new Liquid();
  engine.registerFilter("asset_url", (name: string) => `/assets/${name}`);
  const theme = readFileSync(new URL("./printed/theme.liquid", import.meta.url), "utf8");
  const render = (customer: object | undefined): Promise<string> =>
    engine.parseAndRender(theme, { customer, settings: { bff_url: service.url } });

  /** Runs the script of the page, as a browser would with the bundle among the theme's assets. */
  async function run(html: string, memberToken: string): Promise<Document> {
    const { window } = new JSDOM(html);
    const script = window.document.querySelector("script[type=module]")?.textContent ?? "";
    const imported = 'import { Client } from "/assets/engage-bff-client.js";';
    expect(script).toContain(imported);
    const AsyncFunction = (async () => undefined).constructor as new (...source: string[]) => (
      ...given: unknown[]
    ) => Promise<void>;
    const body = new AsyncFunction("Client", "document", "window", script.replace(imported, ""));
    await body(Client, window.document, { memberToken });
    return window.document;
  }

  test("shows a customer's points", async () => {
    const page = await run(await render({}), token(ALVA.id));
    const points = page.querySelector<HTMLElement>("#points");
    expect([points?.textContent, points?.hidden]).toEqual(["317.5 points", false]);
  });

  test("shows nothing to a visitor, nor where the service refuses", async () => {
    expect((await render(undefined)).trim()).toBe("");
    const page = await run(await render({}), "no token");
    expect(page.querySelector<HTMLElement>("#points")?.hidden).toBe(true);
  });
});

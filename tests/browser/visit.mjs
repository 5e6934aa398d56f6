// A visit to a page of the demo's shop, which must end without a fault: no error, no refused resource, no other origin than
// the shop and the service.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { newPage, ROOT, violations } from "./harness.mjs";

/** Where screenshots go; without the variable none are taken. */
const folder = process.env.SCREENSHOTS && join(ROOT, "docs/images");

/** Starts the demo on free ports. Resolves to the shop's address, and to a function that stops it. */
export async function startDemo() {
  const any = ["--shop", "--listen", "--operations", "--engage"].flatMap((flag) => [flag, "127.0.0.1:0"]);
  const demo = spawn(join(ROOT, "target/debug/examples/demo"), any, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(demo, "exit");
  for await (const line of createInterface({ input: demo.stdout })) {
    const shop = /^shop\s+(http\S+)/.exec(line)?.[1];
    if (!shop) continue;
    demo.stdout.resume();
    return { shop, stop: () => (demo.kill("SIGINT"), ended) };
  }
  throw new Error("the demo did not start");
}

export class Visit {
  #complaints;
  #foreign = [];
  #expected = new Set();

  static async open(browser, url, options = {}) {
    const visit = new Visit();
    const { page, complaints } = await newPage(browser, options);
    visit.page = page;
    visit.#complaints = complaints;
    const host = new URL(url).hostname;
    page.on("request", (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (protocol !== "data:" && hostname !== host) visit.#foreign.push(request.url());
    });
    await page.addInitScript(() => {
      globalThis.shifts = 0;
      // What moves within half a second of the user's own input is expected to.
      const add = (list) => list.getEntries().forEach((entry) => (globalThis.shifts += entry.hadRecentInput ? 0 : entry.value));
      new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto(url);
    return visit;
  }

  /** A response with this status is no fault in this visit: a browser calls each an error of the page. */
  expects(status) {
    this.#expected.add(String(status));
  }

  faultless() {
    const isExpected = (text) => this.#expected.has(/status of (\d+)/.exec(text)?.[1]);
    assert.deepEqual(this.#complaints.filter((text) => !isExpected(text)), []);
    assert.deepEqual(this.#foreign, []);
  }

  async accessible() {
    assert.deepEqual(await violations(this.page), []);
  }

  /** How far the page's content has moved by itself, when it was first painted, and how much wider than the window it is. */
  async looks() {
    return this.page.evaluate(() => ({
      shift: Math.round(globalThis.shifts * 1e4) / 1e4,
      paint: Math.round(performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1),
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    }));
  }

  async shoot(name) {
    if (!folder) return;
    await mkdir(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  }

  async close() {
    await this.page.context().close();
  }
}

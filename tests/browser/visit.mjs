// A page in a real browser that is watched: errors, refused resources, foreign origins, accessibility, layout.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
// Where scripts/browser installs the packages.
const require = createRequire(join(ROOT, "target/browser/package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
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

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

export class Visit {
  #faults = [];
  #expected = new Set();

  static async open(browser, url, { scheme = "light", width = 1280 } = {}) {
    const visit = new Visit();
    const viewport = { width, height: width < 600 ? 700 : 900 };
    visit.context = await browser.newContext({ viewport, colorScheme: scheme, reducedMotion: "reduce" });
    visit.page = await visit.context.newPage();
    visit.#watch(new URL(url).hostname);
    await visit.page.addInitScript(() => {
      globalThis.shifts = 0;
      // What moves within half a second of the user's own input is expected to.
      const add = (list) => list.getEntries().forEach((entry) => (globalThis.shifts += entry.hadRecentInput ? 0 : entry.value));
      new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
    });
    await visit.page.goto(url);
    return visit;
  }

  #watch(host) {
    this.page.on("pageerror", (error) => this.#faults.push(`error: ${error.message}`));
    this.page.on("console", (message) => {
      // A browser logs each failed response as an error of the page; what is expected is no fault.
      const failed = /status of (\d+)/.exec(message.text());
      if (message.type() !== "error" || (failed && this.#expected.has(Number(failed[1])))) return;
      this.#faults.push(`console: ${message.text()}`);
    });
    this.page.on("request", (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (protocol !== "data:" && hostname !== host) this.#faults.push(`foreign: ${request.url()}`);
    });
  }

  /** A response with this status is no fault in this visit. */
  expects(status) {
    this.#expected.add(status);
  }

  async faultless() {
    assert.deepEqual(this.#faults, []);
  }

  async accessible() {
    // Evaluated, since the page's Content-Security-Policy refuses an element with a script.
    await this.page.evaluate(axe);
    const { violations } = await this.page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
    assert.deepEqual(found, []);
  }

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
    await this.page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  }

  async close() {
    await this.context.close();
  }
}

// Starts the service, the Engage simulator and Chromium on free ports, for tests of the service's pages.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
// Where scripts/browser installs the packages.
const require = createRequire(join(ROOT, "target/browser/package.json"));
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");

export const TOKEN = "a-token-of-the-browser-tests";
const SHOP = "a-key-of-the-shop";
/** A contact of the simulator, whatever its seed. */
export const ALVA = { id: "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01", email: "alva.testsson@example.com" };

const CONFIG = (engage) => `
[engage]
base_url = "${engage}"
api_key = "test-engage-key"
default_contact_type = "Member"
requests_per_second = 500.0
burst = 500
[telemetry]
log = "info"
[webhooks]
secrets = ["whsec_oYn8D9SpnpQQHZtlAPhb518LJCuSK89X"]
[[auth.clients]]
id = "web-shop"
key_sha256 = ["${createHash("sha256").update(SHOP).digest("hex")}"]
scopes = ["customer:read", "customer:fresh"]
[[auth.clients]]
id = "till"
key_sha256 = ["${createHash("sha256").update("a-key-of-the-till").digest("hex")}"]
scopes = ["customer:read", "customer:fresh"]
`;

/** Starts a program and resolves to it and to what `find` makes of the first line that it accepts. */
async function start(command, options, find) {
    const child = spawn(join(ROOT, "target/debug", command[0]), command.slice(1), {
        stdio: ["ignore", "pipe", "inherit"],
        ...options,
    });
    const lines = [];
    const found = await new Promise((resolve, reject) => {
        child.once("exit", (code) => reject(new Error(`${command[0]} ended with ${code}:\n${lines.join("\n")}`)));
        createInterface({ input: child.stdout }).on("line", (line) => {
            lines.push(line);
            const value = find(line);
            if (value) resolve(value);
        });
    });
    return { child, lines, found };
}

const ended = (child) => new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) : resolve()));

/** The service with a token for operators, its simulator, and visitors. */
export class Service {
    static async start(token = TOKEN) {
        const service = new Service();
        try {
            await service.#start(token);
        } catch (error) {
            await service.stop();
            throw error;
        }
        return service;
    }

    async #start(token) {
        const simulator = [
            "engage-simulator",
            "--listen",
            "127.0.0.1:0",
            "--contacts",
            "200",
            "--rate-limit",
            "0",
            "--api-lag-ms",
            "20",
        ];
        this.simulator = await start(simulator, {}, (line) => line.startsWith("http://") && line);
        this.engage = this.simulator.found;
        this.folder = await mkdtemp(join(tmpdir(), "engage-bff-browser-"));
        const config = join(this.folder, "config.toml");
        await writeFile(config, CONFIG(this.engage));
        const env = { ...process.env, BFF_SERVER__LISTEN: "127.0.0.1:0", BFF_OPERATIONS__LISTEN: "127.0.0.1:0" };
        if (token) env.BFF_OPERATIONS__TOKEN = token;
        const serving = (line) => {
            const event = JSON.parse(line);
            return event.message === "serving" && event;
        };
        this.bff = await start(["engage-bff", "serve", "--config", config], { env }, serving);
        this.data = `http://${this.bff.found.listen}`;
        this.operations = `http://${this.bff.found.operations}`;
        const contacts = await (await fetch(`${this.engage}/control/contacts?offset=0&count=120`)).json();
        this.contacts = contacts.ids;
    }

    /** Sends requests like those of a shop, about sixty a second, until `stopVisitors`. */
    startVisitors() {
        let number = 0;
        const visit = async () => {
            number += 1;
            // Some contacts come more often than others; every eighth request is for points as they are now.
            const contact = this.contacts[Math.floor(this.contacts.length * ((number * 0.618034) % 1) ** 2)];
            const fresh = number % 8 === 0 ? "&fresh=points" : "";
            await this.get(`contactId=${contact}${fresh}`).catch(() => {});
        };
        this.visitors = setInterval(visit, 16);
    }

    stopVisitors() {
        clearInterval(this.visitors);
    }

    /** Looks a customer up as the shop. */
    get(query) {
        return fetch(`${this.data}/customer?${query}`, { headers: { "X-Api-Key": SHOP } });
    }

    /** Makes calls to Engage fail until `healEngage`. */
    async breakEngage(endpoint, fault) {
        await fetch(`${this.engage}/control/faults`, { method: "POST", body: JSON.stringify({ endpoint, fault }) });
    }

    async healEngage() {
        await fetch(`${this.engage}/control/faults`, { method: "DELETE" });
    }

    /** The events of the log so far. */
    events() {
        return this.bff.lines.map((line) => JSON.parse(line));
    }

    /** The events of the audit with this message. */
    audit(message) {
        return this.events().filter((event) => event.target === "engage_bff::audit" && event.message === message);
    }

    async stop() {
        this.stopVisitors();
        for (const [program, signal] of [
            [this.bff, "SIGTERM"],
            [this.simulator, "SIGINT"],
        ]) {
            program?.child.kill(signal);
            if (program) await ended(program.child);
        }
        if (this.folder) await rm(this.folder, { recursive: true });
    }
}

export const launch = () =>
    chromium.launch({
        executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-dev-shm-usage"],
    });

/** A page that records what a browser complains about. */
export async function newPage(browser, { width = 1280, height = 900, scheme = "light" } = {}) {
    const context = await browser.newContext({
        viewport: { width, height },
        colorScheme: scheme,
        reducedMotion: "reduce",
    });
    const page = await context.newPage();
    const complaints = [];
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    await page.exposeFunction("reportViolation", (text) => complaints.push(text));
    await page.addInitScript(() => {
        document.addEventListener("securitypolicyviolation", (event) =>
            globalThis.reportViolation(`${event.violatedDirective}: ${event.blockedURI}`),
        );
    });
    return { page, complaints };
}

/** What axe finds wrong with a page, by rule and place. */
export async function violations(page) {
    // As an extension would, past the page's policy, which allows no script but its own.
    const session = await page.context().newCDPSession(page);
    const { readFile } = await import("node:fs/promises");
    await session.send("Runtime.evaluate", { expression: await readFile(AXE, "utf8") });
    const options = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] };
    const found = await page.evaluate((options) => globalThis.axe.run(document, options), options);
    return found.violations.flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.failureSummary}`),
    );
}

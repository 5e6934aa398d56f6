// The operators' console in Chromium, against the service itself and the Engage simulator.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { ALVA, launch, newPage, ROOT, Service, TOKEN, violations } from "./harness.mjs";

const IMAGES = process.env.SCREENSHOTS ? join(ROOT, "docs/images") : null;

let service;
let browser;

before(async () => {
    // One after the other: what has started is stopped if the next does not start.
  service = await Service.start();
  browser = await launch();
    service.startVisitors();
});

after(async () => {
    await browser?.close();
    await service?.stop();
});

/** A console that is signed in and live. */
async function open(options) {
    const opened = await newPage(browser, options);
    await opened.page.goto(service.operations);
    await opened.page.getByLabel("Token").fill(TOKEN);
    await opened.page.getByRole("button", { name: "Sign in" }).click();
    await opened.page.getByRole("status").getByText("Live").waitFor();
    return opened;
}

/** The number that a tile shows, once `accepts` accepts it. */
async function tile(page, name, accepts) {
    const value = page.locator(".tile", { has: page.getByText(name, { exact: true }) }).locator("b");
    for (let tries = 0; tries < 300; tries += 1) {
        const text = await value.textContent();
        const number = Number.parseFloat(text.replace(",", ""));
        if (accepts(number)) return number;
        await page.waitForTimeout(50);
    }
    return assert.fail(`${name} shows ${await value.textContent()}`);
}

async function picture(page, name, options = {}) {
    if (!IMAGES) return;
    await mkdir(IMAGES, { recursive: true });
    await page.screenshot({ path: join(IMAGES, `${name}.png`), ...options });
}

test("wrong token is refused and the right one shows live figures", async () => {
    const { page, complaints } = await newPage(browser);
    await page.goto(service.operations);
    await page.getByLabel("Token").waitFor();
    assert.deepEqual(complaints, []);
    await picture(page, "console-sign-in");
    await page.getByLabel("Token").fill("another-token-than-that");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("This is not the token.").waitFor();
    await page.getByLabel("Token").fill(TOKEN);
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("Live").waitFor();
    await tile(page, "Responses", (rate) => rate > 10);
    await tile(page, "Hit ratio", (share) => share > 1);
    await tile(page, "Calls to Engage", (rate) => rate > 0.5);
    // The browser itself reports the 401, and nothing else.
    assert.equal(complaints.length, 1, complaints.join("\n"));
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    assert.equal(await page.getByRole("heading", { name: "Traffic" }).isVisible(), false);
    await page.context().close();
});

test("console agrees with the metrics of the replica", async () => {
    const { page, complaints } = await open();
    service.stopVisitors();
    await page.waitForTimeout(2500);
    const metrics = await (await fetch(`${service.operations}/metrics`)).text();
    const records = /^engage_bff_cache_records (\d+)/m.exec(metrics)[1];
    const contacts = page.locator("#cache-facts div", { hasText: /^Contacts/ }).locator("dd");
    assert.equal(await contacts.textContent(), records);
    service.startVisitors();
    assert.deepEqual(complaints, []);
    await page.context().close();
});

test("failing Engage shows within two seconds, and so does its recovery", async () => {
    const { page, complaints } = await open();
    await page.getByText("Nothing needs attention.").waitFor();
    if (IMAGES) await page.waitForTimeout(30_000);
    await service.breakEngage("all", { status: [500, { message: "busy" }] });
    const began = Date.now();
    await page.locator("#conditions").getByText("Calls to Engage fail: points.").waitFor();
    const failing = Date.now() - began;
    const opened = page.locator("#conditions li.bad", { hasText: "Circuit breaker open: points." });
    await opened.waitFor();
    const shown = Date.now();
    const event = service
        .events()
        .find(({ message, group }) => message === "circuit breaker opened" && group === "points");
    const late = shown - Date.parse(event.timestamp);
    console.log(`    failing calls showed after ${failing} ms, the open breaker ${late} ms after it had opened`);
    assert.ok(failing < 2000 && late < 2000, `${failing} ms, ${late} ms`);
    await page.locator("#groups tr", { hasText: "points" }).first().getByText(/open/).waitFor();
    if (IMAGES) await page.waitForTimeout(10_000);
    await picture(page, "console-fault");
    await service.healEngage();
    await opened.waitFor({ state: "detached", timeout: 60_000 });
    assert.deepEqual(complaints, []);
    await page.context().close();
});

test("explanation leads to the decisions about a contact, without values", async () => {
    const { page, complaints } = await open();
    await service.get(`contactId=${ALVA.id}`);
    await page.waitForTimeout(1000);
    const answer = await service.get(`email=${encodeURIComponent(ALVA.email)}&contactType=Member&fresh=points`);
    assert.equal(answer.status, 200, await answer.text());
    await page.getByRole("link", { name: "Look up" }).click();
    await page.getByLabel("Value").first().fill(ALVA.email);
    await page.getByRole("button", { name: "Explain" }).click();
    await page.getByText("1 cached contact found.").waitFor();
    assert.equal(await page.locator("#explain-value").inputValue(), "");
    const result = page.locator("#look-up-result");
    await result.getByRole("row", { name: /profile.*fresh.*overview/ }).waitFor();
    await page.getByRole("button", { name: "Decisions about this contact" }).click();
    const decision = result.locator("details").first();
    await decision.locator("summary").click();
    await decision.getByRole("row", { name: /points.*fetched.*requested fresh/ }).waitFor();
    const shown = await page.locator("main").textContent();
    for (const value of ["alva", "testsson", ALVA.id]) assert.ok(!shown.toLowerCase().includes(value), value);
    await picture(page, "console-decisions");
    assert.equal(service.audit("cache inspected by operator").length, 2);
    assert.deepEqual(complaints, []);
    await page.context().close();
});

test("purge and switch are confirmed, done and audited", async () => {
    const { page, complaints } = await open();
    await page.locator("#purge-kind").selectOption("contactId");
    await page.locator("#purge-value").fill(ALVA.id);
    await page.getByRole("button", { name: "Purge", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    assert.equal(service.audit("cache purged by operator").length, 0);
    await page.getByRole("button", { name: "Purge", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Purge" }).click();
    await page.getByText("Purged. What was fetched before is not served any more.").waitFor();
    assert.equal(service.audit("cache purged by operator").length, 1);

    await page.getByRole("button", { name: "Switch off" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Switch off" }).click();
    await page.locator("#conditions").getByText("The cache is switched off.").waitFor();
    await page.getByRole("button", { name: "Switch on" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Switch on" }).click();
    await page.getByText("The cache is in use.").waitFor();
    assert.deepEqual(
        service.audit("cache switched by operator").map(({ enabled }) => enabled),
        [false, true],
    );
    assert.deepEqual(complaints, []);
    await page.context().close();
});

test("keyboard alone signs in, explains and purges", async () => {
    const { page, complaints } = await newPage(browser);
    const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent);
    const tabTo = async (wanted) => {
        for (let presses = 0; presses < 60; presses += 1) {
            if ((await focused()) === wanted) return;
            await page.keyboard.press("Tab");
        }
        assert.fail(`Tab does not reach ${wanted}`);
    };
    await page.goto(service.operations);
    await page.getByLabel("Token").waitFor();
    assert.equal(await focused(), "token");
    await page.keyboard.type(TOKEN);
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("Live").waitFor();
    await tabTo("explain-value");
    await page.keyboard.type("unknown@example.com");
    await page.keyboard.press("Enter");
    await page.getByText("0 cached contacts found.").waitFor();
    await tabTo("purge-kind");
    await page.keyboard.press("End");
    await tabTo("Purge");
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "confirm-no");
    await page.keyboard.press("Escape");
    assert.equal(await page.getByRole("dialog").isVisible(), false);
    assert.equal(await focused(), "Purge");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement?.id === "confirm-no");
    await page.keyboard.press("Tab");
    await page.waitForFunction(() => document.activeElement?.id === "confirm-yes");
    await page.keyboard.press("Enter");
    await page.getByText("Purged. What was fetched before is not served any more.").waitFor();
    assert.deepEqual(complaints, []);
    await page.context().close();
});

/** Two events, ten seconds apart: the growth of each series, and the readiness of both. */
function invented(growth, readiness) {
    const event = (name, at, samples) => `event: ${name}\ndata: ${JSON.stringify({ at, readiness, samples })}\n\n`;
    const before = Object.fromEntries(Object.keys(growth).map((series) => [series, 0]));
    return (
        event("samples", "2026-11-23T12:00:00.000Z", before) + event("difference", "2026-11-23T12:00:10.000Z", growth)
    );
}

test("conditions and figures that this replica has no cause for are shown too", async () => {
    const { page } = await newPage(browser);
    const readiness = await (await fetch(`${service.operations}/readyz`)).json();
    readiness.tokenKeys = "not loaded";
    readiness.engage.pausedForSeconds = 7;
    readiness.engage.budget = { mode: "own share", replicas: 3 };
    readiness.webhooks = { state: "failing", lastTakenSecondsAgo: 61 };
    readiness.sharedTier = {
        state: "timeout",
        available: false,
        sinceSeconds: 12.5,
        roundTripMilliseconds: { last: 0.4, average: 0.5 },
        caughtUpSecondsAgo: 14,
        gaps: 1,
        replicas: 3,
        memoryDistrusted: true,
    };
    readiness.reload = { at: "2026-11-23T11:59:00Z", failed: true, needsRestart: ["server.listen"] };
    readiness.warnings = ["cache.max_size: is more than the memory of the machine"];
    const growth = {
        'engage_bff_client_requests_total{client="web-shop",outcome="answered"}': 30,
        'engage_bff_client_requests_total{client="web-shop",outcome="limited"}': 5,
        'engage_bff_client_guard_tripped{client="web-shop"}': 1,
        'engage_bff_client_last_seen_timestamp_seconds{client="web-shop"}': Date.parse("2026-11-23T12:00:07Z") / 1000,
        'engage_bff_parts_served_total{part="points",outcome="stale_if_slow"}': 20,
        'engage_bff_log_events_dropped_total{log="audit"}': 2,
        engage_bff_engage_budget_calls_per_second: 50,
        engage_bff_cache_record_bytes: 128 * 1024 ** 2,
        engage_bff_cache_max_bytes: 256 * 1024 ** 2,
    };
    // The page asks again when the stream ends.
    await page.route("**/events", (route) =>
        route.fulfill({ contentType: "text/event-stream", body: invented(growth, readiness) }),
    );
    await page.route("**/reload", (route) => route.fulfill({ json: { changed: ["auth.clients"], needsRestart: [] } }));
    await page.goto(service.operations);
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    for (const text of [
        "The token issuer's keys are not known.",
        "Engage answered 429: calls pause.",
        "Webhooks are not understood.",
        "The shared tier is not used: timeout.",
        "The last reload failed.",
        "Audit events are dropped.",
        "Enumeration guard tripped: web-shop.",
        "Calls stay within this replica's own share.",
        "Changes of other replicas may be missing.",
        "A restart is needed.",
        "Questionable setting.",
    ]) {
        await page.locator("#conditions").getByText(text).waitFor();
    }
    await page.getByRole("row", { name: /^web-shop 3\.0 s ago 3\.5 – 0\.5 .* tripped$/ }).waitFor();
    await page.getByRole("row", { name: /^points – – – – 2 – –/ }).waitFor();
    await page.locator(".tile", { hasText: "a second, of 50" }).waitFor();
    await page.getByText("128 MiB of 256 MiB").waitFor();
    await page.locator("#tier-facts").getByText("own share, 3 replicas").waitFor();
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Reload" }).click();
    await page.getByText("Reloaded. Changed: auth.clients.").waitFor();
    await page.context().close();
});

for (const width of [320, 1280]) {
    for (const scheme of ["light", "dark"]) {
        test(`page fits ${width} px in ${scheme} colours and axe finds nothing`, async () => {
            const { page, complaints } = await newPage(browser, { width, height: width === 320 ? 640 : 900, scheme });
            await page.goto(service.operations);
            await page.getByLabel("Token").fill(TOKEN);
            assert.deepEqual(await violations(page), []);
            await page.getByRole("button", { name: "Sign in" }).click();
            await tile(page, "Responses", (rate) => rate > 1);
            for (const details of await page.locator("figure details summary").all()) await details.click();
            await page.getByRole("button", { name: "Show decisions" }).click();
            await page.getByText("decisions that are kept").waitFor();
            await page.locator("#look-up-result summary").first().click();
            assert.deepEqual(await violations(page), []);
            const overflow = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
            assert.ok(overflow <= 0, `${overflow} px too wide`);
            for (const details of await page.locator("figure details summary").all()) await details.click();
            await page.locator("#look-up-result").evaluate((result) => result.replaceChildren());
            if (IMAGES) await page.waitForTimeout(30_000);
            await page.evaluate(() => scrollTo(0, 0));
            await picture(page, `console-${scheme}-${width}`, width === 320 ? {} : { fullPage: true });
            assert.deepEqual(complaints, []);
            await page.context().close();
        });
    }
}

test("lost connection shows, and the console comes back by itself", async () => {
    const { page } = await open();
    service.stopVisitors();
    service.bff.child.kill("SIGSTOP");
    try {
        await page.getByRole("status").getByText("No connection").waitFor();
    } finally {
        service.bff.child.kill("SIGCONT");
    }
    await page.getByRole("status").getByText("Live").waitFor();
    await page.context().close();
});

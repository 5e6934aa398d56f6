// The reference, a page about each listener, in Chromium.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, newPage, Service, violations } from "./harness.mjs";

let service;
let browser;

before(async () => {
  // Without a token, since a page without scripts has none to send.
  service = await Service.start("");
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await service?.stop();
});

for (const path of ["/docs", "/docs/operations"]) {
  for (const scheme of ["light", "dark"]) {
    for (const width of [320, 1280]) {
      test(`${path} is accessible, complete and within the window, ${scheme}, ${width} px wide`, async () => {
        const { page, complaints } = await newPage(browser, { scheme, width });
        await page.goto(service.operations + path);
        // Each fault would be listed for each row of the tables.
        assert.deepEqual((await violations(page)).slice(0, 3), []);
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        assert.ok(overflow <= 0, `${overflow} px too wide`);
        // The style sheet is applied: the policy allows it by its digest.
        const family = await page.evaluate(() => getComputedStyle(document.body).fontFamily);
        assert.match(family, /system-ui/);
        assert.deepEqual(complaints, []);
        await page.context().close();
      });
    }
  }

  test(`${path} leads to each operation by the keyboard, and to the other page`, async () => {
    const { page, complaints } = await newPage(browser);
    await page.goto(service.operations + path);
    const link = page.getByRole("navigation").getByRole("link").first();
    await link.focus();
    await page.keyboard.press("Enter");
    const id = new URL(page.url()).hash.slice(1);
    assert.ok(await page.evaluate((id) => document.getElementById(id).getBoundingClientRect().top < 200, id));
    await page.goBack();
    await page.getByRole("link", { name: /listener$/ }).click();
    await page.getByRole("heading", { level: 1 }).waitFor();
    assert.notEqual(new URL(page.url()).pathname, path);
    assert.deepEqual(complaints, []);
    await page.context().close();
  });
}

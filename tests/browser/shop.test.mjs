// The pages of the demo's shop in a real browser, each at its job.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";

import { ALVA, launch } from "./harness.mjs";
import { Visit, startDemo } from "./visit.mjs";

const engage = (path, body, method = "POST") =>
  fetch(`${shop}/backstage/${path}`, { method, body: body && JSON.stringify(body) });

let browser;
let demo;
let shop;
before(async () => {
  [demo, browser] = await Promise.all([startDemo(), launch()]);
  shop = demo.shop;
});
after(async () => {
  await browser?.close();
  await demo?.stop();
});
beforeEach(async () => {
  await engage("faults", undefined, "DELETE");
  await engage("latency", { endpoint: "all", fixedMs: 0 });
});

/** Opens a page, works in it, and finds no fault with it. */
async function visit(path, work, options) {
  const visit = await Visit.open(browser, shop + path, options);
  try {
    await work(visit.page, visit);
    visit.faultless();
  } finally {
    await visit.close();
  }
}

/** Logs in by the keyboard alone: that way every page of a shopper can be used without a mouse. */
async function logIn(page, shopper = "Alva") {
  await page.getByLabel("Shopper").focus();
  await page.keyboard.type(shopper);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
}

const text = (page, selector) => page.locator(selector).textContent();

describe("My pages", () => {
  test("show everything, and a change in Engage within two seconds, by webhook", async () => {
    await visit("/me", async (page, visit) => {
      await logIn(page);
      await page.locator("#balance").waitFor();
      const before = await text(page, "#balance");
      const began = Date.now();
      await page.getByRole("button", { name: "Earn 100 points" }).click();
      await page.waitForFunction((old) => document.querySelector("#balance").textContent !== old, before);
      const took = Date.now() - began;
      assert.ok(took < 2000, `${took} ms`);
      console.log(`a change of points was on the page after ${took} ms`);
      await visit.shoot("shop-me");
    });
  });

  test("say what is not known while Engage fails, and show the rest all the same", async () => {
    await visit("/me", async (page) => {
      await logIn(page);
      await page.locator("#balance").waitFor();
      await page.getByLabel("fails").check();
      await page.getByText("Engage answers 502.").waitFor();
      await engage(`contacts/${ALVA.id}`, [{ points: "500" }]);
      await page.locator(".card", { hasText: "Points" }).getByText("Not available right now.").waitFor();
      assert.equal(await page.locator("#balance").count(), 0);
      assert.ok(await page.getByText("alva.testsson@example.com").isVisible());
      assert.ok(await page.getByText("Code ").first().isVisible());
    });
  });

  test("hide what is protected", async () => {
    await visit("/me", async (page) => {
      await logIn(page, "Cim");
      await page.getByText("Your details are protected and not shown here.").waitFor();
      assert.equal(await page.getByText("cim.ovan@example.com").count(), 0);
    });
  });
});

describe("the checkout", () => {
  test("takes a voucher off", async () => {
    await visit("/checkout", async (page, visit) => {
      await logIn(page);
      await page.getByLabel(/150 SEK/).check();
      assert.equal(await text(page, "#total"), "649.00");
      await visit.shoot("shop-checkout");
      await page.getByRole("button", { name: "Pay" }).click();
      await page.getByText("Paid 649.00 SEK").waitFor();
    });
  });

  test("goes on as a guest while Engage hangs, after a second", async () => {
    await visit("/checkout", async (page) => {
      await page.getByLabel("hangs").check();
      await page.getByText("Engage does not answer.").waitFor();
      await logIn(page, "Bo");
      await page.getByText("Pay as a guest").waitFor();
      await page.getByRole("button", { name: "Pay" }).click();
      await page.getByText("Paid 799.00 SEK").waitFor();
    });
  });
});

test("content follows the audience", async () => {
  await visit("/content", async (page, visit) => {
    await page.getByText("This week").waitFor();
    assert.equal(await page.getByText("Gold evening").count(), 0);
    await logIn(page);
    await page.getByText("Gold evening").waitFor();
    await visit.shoot("shop-content");
  });
});

describe("the till", () => {
  const find = async (page, kind, value) => {
    await page.getByLabel("Find by").selectOption({ label: kind });
    await page.getByLabel("Value").fill(value);
    await page.keyboard.press("Enter");
  };

  test("finds a customer by each kind of identifier", async () => {
    await visit("/till", async (page) => {
      for (const [kind, value] of [
        ["Phone", "+46701740605"],
        ["Member number", "100001"],
        ["National id", "198507099805"],
        ["Anything", "alva.testsson@example.com"],
      ]) {
        await page.evaluate(() => document.querySelector("#found").replaceChildren());
        await find(page, kind, value);
        await page.getByText("Alva Testsson").waitFor();
      }
    });
  });

  test("redeems a voucher, which is gone from an open My pages at once", async () => {
    await engage(`contacts/${ALVA.id}`, [{ addVoucher: { amount: "75.00", currency: "SEK", name: "Seventy-five" } }]);
    await visit("/till", async (page, visit) => {
      await find(page, "E-mail", "alva.testsson@example.com");
      await visit.shoot("shop-till");
      await page.getByRole("button", { name: "Redeem Seventy-five" }).click();
      await page.getByText("Seventy-five").waitFor({ state: "detached" });
    });
    await visit("/me", async (page) => {
      await logIn(page);
      await page.locator("#balance").waitFor();
      assert.equal(await page.getByText("Seventy-five").count(), 0);
    });
  });

  test("flags an address whose messages come back, and a protected identity", async () => {
    await visit("/till", async (page) => {
      await find(page, "E-mail", "cim.ovan@example.com");
      await page.getByText("messages to it come back: ask again").waitFor();
      await page.getByText("protected identity").waitFor();
    });
  });

  test("lets the clerk choose between two customers with one address", async () => {
    await visit("/till", async (page, visit) => {
      visit.expects(409);
      await find(page, "E-mail", "shared@example.com");
      await page.locator("#found button").first().click();
      await page.locator("#found dl").waitFor();
    });
  });
});

test("the service desk looks a dozen customers up in one request", async () => {
  await visit("/desk", async (page, visit) => {
    await page.getByRole("button", { name: "Look all of them up" }).click();
    await page.getByText(/^12 of 12/).waitFor();
    assert.equal(await page.locator("#lines tr").count(), 12);
    assert.equal(await page.getByText("Alva Testsson").count(), 1);
    assert.equal(await page.getByText("no member").count(), 2);
    await visit.shoot("shop-desk");
  });
});

describe("every page", () => {
  const paths = ["/", "/me", "/checkout", "/content", "/till", "/desk"];
  for (const scheme of ["light", "dark"]) {
    for (const width of [320, 1280]) {
      test(`is accessible and still, ${scheme}, ${width} px wide`, async () => {
        for (const path of paths) {
          await visit(
            path,
            async (page, visit) => {
              if (["/me", "/checkout", "/content"].includes(path)) {
                await logIn(page);
                await page.locator("#answers tr").waitFor();
              }
              await page.waitForLoadState("networkidle");
              await visit.accessible();
              const { shift, paint, overflow } = await visit.looks();
              assert.equal(shift, 0, `${path}: layout shift`);
              assert.ok(overflow <= 0, `${path}: ${overflow} px too wide`);
              if (width === 1280 && scheme === "light") console.log(`${path}: first contentful paint ${paint} ms`);
              if (path === "/me") await visit.shoot(`shop-me-${scheme}-${width}`);
            },
            { scheme, width },
          );
        }
      });
    }
  }

  test("says that it is there", async () => {
    await visit("/", async (page) => {
      for (const name of ["My pages", "Checkout", "Content", "Till", "Service desk"]) {
        await page.getByRole("navigation").getByRole("link", { name }).click();
        await page.getByRole("heading", { level: 1, name }).waitFor();
      }
    });
  });
});

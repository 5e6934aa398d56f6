// The drawer: changes the simulated Engage, and lists the requests of this page.

const ALVA = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01";
const BO = "0b8e7a55-93c1-4d2f-9e10-b2c300d41e02";
const KEPT = 8;

/** Calls the simulator; `undefined` if the response has no body. */
export async function engage(path, body, method = body === undefined ? "GET" : "POST") {
  const response = await fetch(`/backstage/${path}`, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text ? JSON.parse(text) : undefined;
}

const calls = async () => (await engage("calls")).total;

/** `fetch`, which lists each answer with its age, its time, and the calls to Engage during it. */
export async function watch(url, init) {
  const before = await calls();
  const began = performance.now();
  let response;
  try {
    response = await fetch(url, init);
    return response;
  } finally {
    const took = performance.now() - began;
    const made = (await calls()) - before;
    const { pathname } = new URL(url);
    const cells = [
      `${init.method ?? "GET"} ${pathname.replace("/till/", "/")}`,
      response?.status ?? "none",
      response?.headers.get("Age") ?? "–",
      made,
      `${took.toFixed(took < 10 ? 1 : 0)} ms`,
    ];
    const row = document.createElement("tr");
    row.append(...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    const rows = document.querySelector("#answers");
    rows.prepend(row);
    while (rows.children.length > KEPT) rows.lastChild.remove();
  }
}

const acts = {
  async earn() {
    const { pointAccounts } = await engage(`contacts/${ALVA}`);
    const now = pointAccounts[0].balance + 100;
    await engage(`contacts/${ALVA}`, [{ points: String(now) }]);
    return `Alva has ${now} points now.`;
  },
  async voucher() {
    await engage(`contacts/${ALVA}`, [{ addVoucher: { amount: "100.00", currency: "SEK", name: "Thank you" } }]);
    return "Alva has one more voucher of 100 SEK.";
  },
  async reactivate() {
    const { vouchers } = await engage(`contacts/${ALVA}`);
    const redeemed = vouchers.find(({ redeemed }) => redeemed);
    if (!redeemed) return "Alva has redeemed no voucher. Redeem one at the till first.";
    await engage(`contacts/${ALVA}`, [{ reactivateVoucher: redeemed.id }]);
    return "The voucher can be used again. Engage sends no event for that.";
  },
  async move() {
    const owner = await engage(`contacts/${ALVA}`);
    const has = owner.attributes.email === "alva.testsson@example.com";
    const [from, to] = has ? [ALVA, BO] : [BO, ALVA];
    await engage("move-email", { from, to });
    return has ? "alva.testsson@example.com is Bo's now." : "The address is Alva's again.";
  },
};

const worlds = {
  async up() {
    await engage("faults", undefined, "DELETE");
    await engage("latency", { endpoint: "all", fixedMs: 0 });
    return "Engage works.";
  },
  async slow() {
    await worlds.up();
    await engage("latency", { endpoint: "all", fixedMs: 2000 });
    return "Engage takes two seconds for each call.";
  },
  async failing() {
    await worlds.up();
    await engage("faults", { endpoint: "all", fault: "html502" });
    return "Engage answers 502.";
  },
  async down() {
    await worlds.up();
    await engage("faults", { endpoint: "all", fault: "hang" });
    return "Engage does not answer.";
  },
};

async function say(doing) {
  const line = document.querySelector("#did");
  try {
    line.textContent = await doing();
  } catch (error) {
    line.textContent = `That did not work: ${error.message}`;
  }
}

const world = document.querySelector("#world");
world.addEventListener("click", ({ target }) => target.dataset.act && say(acts[target.dataset.act]));
// The simulator stays as it is when another page opens.
world.elements.engage.value = sessionStorage.getItem("engage") ?? "up";
world.addEventListener("change", ({ target }) => {
  sessionStorage.setItem("engage", target.value);
  void say(worlds[target.value]);
});

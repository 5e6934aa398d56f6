// @ts-check
// What changes something: purges and the switch. Each is confirmed first.

import { fillKinds, report } from "./lookup.js";
import { request } from "./session.js";
import { badge, byId } from "./view.js";

/** Whether the cache is in use, as the last event said. */
let isOn = true;

/** How often the dialog has been opened. */
let openings = 0;

/** Asks, and resolves to whether the operator agreed. @param {string} title  @param {string} text  @param {string} yes */
function confirm(title, text, yes) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("confirm"));
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  byId("confirm-no").focus();
  openings += 1;
  const opening = openings;
  return new Promise((resolve) => {
    const listening = new AbortController();
    const onClose = () => {
      const isLatest = opening === openings;
      // Browsers report a close later: this one may be that of the dialog before.
      if (isLatest && dialog.open) return;
      listening.abort();
      resolve(isLatest && dialog.returnValue === "yes");
    };
    dialog.addEventListener("close", onClose, { signal: listening.signal });
  });
}

/** @param {string} kind  @param {string} value */
function purge(kind, value) {
  if (kind === "contactId") return request("DELETE", `cache/contacts/${encodeURIComponent(value)}`);
  return request("POST", "cache/purge", kind === "all" ? { all: true } : { [kind]: value });
}

async function onPurge() {
  const kind = byId("purge-kind").value;
  const isAll = kind === "all";
  const text = isAll
    ? "Every cached contact is fetched again, within the call budget. Expect misses, and 503 beyond the budget."
    : "Every contact with this identifier is fetched again with its next request.";
  if (!(await confirm(isAll ? "Purge everything?" : "Purge?", text, isAll ? "Purge everything" : "Purge"))) return;
  await report(byId("purge-status"), async () => {
    await purge(kind, byId("purge-value").value.trim());
    byId("purge-value").value = "";
    return "Purged. What was fetched before is not served any more.";
  });
}

async function onSwitch() {
  const wanted = !isOn;
  const text = wanted
    ? "The cache begins empty and fills with the next requests."
    : "The cache is emptied, and every request to this replica calls Engage: requests beyond the call budget are a 503.";
  const title = wanted ? "Switch the cache on?" : "Switch the cache off?";
  if (!(await confirm(title, text, wanted ? "Switch on" : "Switch off"))) return;
  await report(byId("switch-status"), async () => {
    await request("PUT", "cache/enabled", wanted);
    showSwitch(wanted);
    return wanted ? "Switched on." : "Switched off at this replica.";
  });
}

/** Shows whether the cache is in use. @param {boolean} on */
export function showSwitch(on) {
  isOn = on;
  const state = byId("switch-state");
  if (state.dataset.on === String(on)) return;
  state.dataset.on = String(on);
  state.replaceChildren(badge(on ? "good" : "bad", on ? "The cache is in use." : "The cache is switched off."));
  byId("switch").textContent = on ? "Switch off" : "Switch on";
  byId("switch").className = on ? "danger" : "primary";
}

async function onReload() {
  const text = "What can change while the service runs takes effect at once; the rest needs a restart.";
  if (!(await confirm("Reload the configuration?", text, "Reload"))) return;
  await report(byId("reload-status"), async () => {
    const { changed, needsRestart } = await request("POST", "reload");
    const done = changed.length ? `Reloaded. Changed: ${changed.join(", ")}.` : "Reloaded. Nothing changed.";
    return needsRestart.length ? `${done} A restart is needed for: ${needsRestart.join(", ")}.` : done;
  });
}

/** Shows the last reload, where this service can reload. @param {any} reload */
export function showReload(reload) {
  byId("reload-card").hidden = !reload;
  if (!reload) return;
  const last = reload.at ? `${reload.at.slice(0, 10)} ${reload.at.slice(11, 19)} UTC` : "";
  const text = !last ? "Not reloaded since the start." : `${reload.failed ? "Failed" : "Reloaded"} ${last}.`;
  const state = byId("reload-state");
  if (state.textContent.endsWith(text)) return;
  state.replaceChildren(badge(reload.failed ? "bad" : last ? "good" : "idle", text));
}

export function setUpActions() {
  fillKinds(byId("purge-kind"), [["all", "Everything"]]);
  byId("purge-kind").addEventListener("change", () => {
    const isAll = byId("purge-kind").value === "all";
    byId("purge-value-field").hidden = isAll;
    byId("purge-value").disabled = isAll;
  });
  byId("purge-form").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    onPurge();
  });
  byId("switch").addEventListener("click", onSwitch);
  byId("reload").addEventListener("click", onReload);
  const dialog = byId("confirm");
  byId("confirm-yes").addEventListener("click", () => dialog.close("yes"));
  byId("confirm-no").addEventListener("click", () => dialog.close("no"));
}

// @ts-check
// What the other scripts build the page with: elements, tables, and figures as text.

/**
 * An element with these attributes and children. Text is always set as text, never as HTML.
 * @param {string} name  @param {Record<string, string>} [attributes]  @param {...(Node | string)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** The element with the id. @param {string} id  @returns {any} */
export const byId = (id) => document.getElementById(id);

/** @typedef {string | Node} Cell */
/** @typedef {{name: string, isNumber?: boolean}} Column */

/**
 * Fills a table. The first cell of each row is its heading.
 * @param {HTMLElement} table  @param {string} caption  @param {Column[]} columns  @param {Cell[][]} rows  @param {string} empty
 */
export function fillTable(table, caption, columns, rows, empty) {
  /** @type {(index: number) => Record<string, string>} */
  const kind = (index) => (columns[index].isNumber ? { class: "number" } : {});
  const head = columns.map((column, index) => element("th", { scope: "col", ...kind(index) }, column.name));
  const body = rows.map((row) =>
    element(
      "tr",
      {},
      ...row.map((cell, index) => element(index ? "td" : "th", index ? kind(index) : { scope: "row" }, cell)),
    ),
  );
  if (!body.length)
    body.push(element("tr", {}, element("td", { colspan: String(columns.length), class: "muted" }, empty)));
  table.replaceChildren(
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
}

/** Fills a list of facts. @param {HTMLElement} list  @param {[string, Cell][]} facts */
export function fillFacts(list, facts) {
  list.replaceChildren(
    ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))),
  );
}

/** A word with a colour and a sign, so that the colour says nothing alone. @param {"good" | "warn" | "bad" | "idle"} kind  @param {string} text */
export function badge(kind, text) {
  const sign = { good: "●", warn: "▲", bad: "■", idle: "○" }[kind];
  return element("span", { class: `badge ${kind}` }, element("span", { "aria-hidden": "true" }, `${sign} `), text);
}

const NONE = "–";

/** @param {number | null} value  @param {(value: number) => string} format */
const or = (value, format) => (value === null || value === undefined || Number.isNaN(value) ? NONE : format(value));

/** A count. @param {number | null} value */
export const count = (value) => or(value, (value) => Math.round(value).toLocaleString("en"));

/** A rate or other figure, with as many digits as matter. @param {number | null} value */
export const figure = (value) =>
  or(value, (value) =>
    value < 10 && !Number.isInteger(value)
      ? value.toFixed(value < 0.1 ? 2 : 1)
      : Math.round(value).toLocaleString("en"),
  );

/** A share. @param {number | null} value */
export const percent = (value) =>
  or(
    value,
    (value) => `${(value * 100).toFixed(value > 0.999 || value < 0.1 ? (value === 1 || value === 0 ? 0 : 2) : 1)} %`,
  );

/** A duration of a request. @param {number | null} seconds */
export const duration = (seconds) =>
  or(seconds, (seconds) => {
    if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
    if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
    return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  });

/** A longer time. @param {number | null} seconds */
export const time = (seconds) =>
  or(seconds, (seconds) => {
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
    if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
    return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
  });

/** @param {number | null} value */
export const bytes = (value) =>
  or(value, (value) => {
    const units = ["B", "KiB", "MiB", "GiB"];
    let unit = 0;
    while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
    return `${value.toFixed(unit && value < 100 ? 1 : 0)} ${units[unit]}`;
  });

/** The time since a timestamp. @param {number | null} timestamp in seconds  @param {number} now */
export const ago = (timestamp, now) => (timestamp ? `${time(Math.max(0, now - timestamp))} ago` : NONE);

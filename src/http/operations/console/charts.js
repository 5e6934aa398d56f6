// @ts-check
// Charts of the last minutes, each with a legend that shows the present values and a table of the same figures.

import { element } from "./view.js";

/** How many seconds a chart shows, at the most and at the least. */
const [SPAN, LEAST_SPAN] = [300, 60];
/** Every how many seconds the table has a row, and how many rows. */
const [ROW_EVERY, ROWS] = [5, 12];

/** @typedef {{name: string, color: number}} Line */
/** @typedef {{title: string, unit: string, format: (value: number) => string, isStacked?: boolean, empty?: string}} Options */

const style = () => getComputedStyle(document.documentElement);
/** @param {string} name */
const color = (name) => style().getPropertyValue(name).trim();

export class Chart {
  /** @type {Line[]} */
  #lines = [];
  /** @type {number[]} */
  #times = [];
  /** The values of each line. @type {(number | null)[][]} */
  #values = [];
  /** @type {any} */
  #plot = null;

  /** @param {HTMLElement} figure  @param {Options} options */
  constructor(figure, options) {
    this.options = options;
    this.canvas = element("div", { class: "plot", role: "img" });
    this.legend = element("ul", { class: "legend" });
    this.table = element("table");
    this.details = /** @type {HTMLDetailsElement} */ (
      element(
        "details",
        {},
        element("summary", {}, "Figures", element("span", { class: "hidden" }, ` of ${options.title}`)),
        element(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": `Figures of ${options.title}` },
          this.table,
        ),
      )
    );
    figure.replaceChildren(
      element("figcaption", {}, element("h3", {}, options.title), element("span", { class: "muted" }, options.unit)),
      this.canvas,
      this.legend,
      this.details,
    );
    this.details.addEventListener("toggle", () => this.#fillTable());
    new ResizeObserver(() => this.#resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /**
   * Adds the values of a second. The lines may become more.
   * @param {number} at  @param {Line[]} lines  @param {(number | null)[]} values
   */
  push(at, lines, values) {
    const isNew =
      lines.length !== this.#lines.length || lines.some((line, index) => line.name !== this.#lines[index].name);
    if (isNew) {
      const known = new Map(this.#lines.map((line, index) => [line.name, this.#values[index]]));
      this.#values = lines.map(({ name }) => known.get(name) ?? this.#times.map(() => null));
      this.#lines = lines;
    }
    this.#times.push(at);
    values.forEach((value, index) => this.#values[index].push(value));
    while (this.#times[0] < at - SPAN) {
      this.#times.shift();
      this.#values.forEach((line) => line.shift());
    }
    if (isNew || !this.#plot) this.#draw();
    else this.#plot.setData(this.#data());
    this.#fillLegend(values);
    if (this.details.open) this.#fillTable();
  }

  /** What uPlot draws: the lines, or their sums from the bottom up, the greatest first. */
  #data() {
    if (!this.options.isStacked) return [this.#times, ...this.#values];
    const sums = this.#times.map(() => 0);
    const isKnown = this.#times.map((_, at) => this.#values.some((line) => line[at] !== null));
    const stack = this.#values.map((line) => line.map((value, at) => (isKnown[at] ? (sums[at] += value ?? 0) : null)));
    return [this.#times, ...stack.reverse()];
  }

  #draw() {
    this.#plot?.destroy();
    const { isStacked, format } = this.options;
    const lines = this.#lines.map((line) => ({
      label: line.name,
      stroke: color(`--series-${line.color}`),
      fill: isStacked ? color(`--series-${line.color}`) : undefined,
      width: isStacked ? 0 : 2,
      points: { show: false },
      spanGaps: false,
    }));
    const axis = {
      stroke: color("--muted"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
      font: `12px ${style().fontFamily}`,
    };
    this.#plot = new globalThis.uPlot(
      {
        ...this.#size(),
        padding: [8, 24, 0, 0],
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: {
            range: (/** @type {any} */ _, /** @type {number} */ first, /** @type {number} */ last) => [
              Math.min(first, last - LEAST_SPAN),
              last,
            ],
          },
          y: {
            range: (/** @type {any} */ _, /** @type {number} */ __, /** @type {number} */ most) => [
              0,
              Math.max(most * 1.1, 1e-9),
            ],
          },
        },
        axes: [
          {
            ...axis,
            space: 70,
            size: 30,
            values: (/** @type {any} */ _, /** @type {number[]} */ times) => times.map(clock),
            incrs: [15, 30, 60, 120],
          },
          { ...axis, size: 62, values: (/** @type {any} */ _, /** @type {number[]} */ values) => values.map(format) },
        ],
        series: [{}, ...(isStacked ? lines.reverse() : lines)],
      },
      this.#data(),
      this.canvas,
    );
  }

  #size() {
    return { width: Math.max(this.canvas.clientWidth, 120), height: 200 };
  }

  #resize() {
    if (this.#plot && this.#plot.width !== this.#size().width) this.#plot.setSize(this.#size());
  }

  /** @param {(number | null)[]} values */
  #fillLegend(values) {
    const shown = values.map((value) => (value === null ? "–" : this.options.format(value)));
    const items = this.#lines.map((line, index) =>
      element(
        "li",
        {},
        element("span", { class: `swatch series-${line.color}`, "aria-hidden": "true" }),
        `${line.name} `,
        element("b", {}, shown[index]),
      ),
    );
    if (!items.length) items.push(element("li", { class: "muted" }, this.options.empty ?? "Nothing yet"));
    this.legend.replaceChildren(...items);
    const summary = this.#lines.map((line, index) => `${line.name} ${shown[index]}`).join(", ");
    this.canvas.setAttribute(
      "aria-label",
      `${this.options.title}, ${this.options.unit}. Now: ${summary || "nothing"}.`,
    );
  }

  #fillTable() {
    const head = element(
      "tr",
      {},
      element("th", { scope: "col" }, "Time"),
      ...this.#lines.map((line) => element("th", { scope: "col", class: "number" }, line.name)),
    );
    const rows = [];
    for (let at = this.#times.length - 1; at >= 0 && rows.length < ROWS; at -= ROW_EVERY) {
      const values = this.#values.map((line) => line[at]);
      rows.push(
        element(
          "tr",
          {},
          element("th", { scope: "row" }, clock(this.#times[at])),
          ...values.map((value) =>
            element("td", { class: "number" }, value === null ? "–" : this.options.format(value)),
          ),
        ),
      );
    }
    this.table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  }
}

/** The time of day. @param {number} seconds */
function clock(seconds) {
  return new Date(seconds * 1000).toTimeString().slice(0, 8);
}

// @ts-check
// The samples of /events, and what is computed from them: rates, ratios and percentiles of the last seconds. They are the
// samples of /metrics, so the console and Prometheus never disagree.

const PREFIX = "engage_bff_";
/** The seconds that rates and percentiles are of. */
export const WINDOW = 10;

/** @typedef {Record<string, string>} Labels */
/** @typedef {{series: string, labels: Labels}} Series */

/** @param {string} series  @returns {{name: string, labels: Labels}} */
function parse(series) {
  const open = series.indexOf("{");
  if (open < 0) return { name: series, labels: {} };
  /** @type {Labels} */
  const labels = {};
  for (const [, key, value] of series.slice(open).matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[key] = value.replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
  }
  return { name: series.slice(0, open), labels };
}

/** @param {string} name */
const full = (name) => (name.startsWith("process_") ? name : PREFIX + name);

export class Metrics {
  /** @type {Map<string, number>} */
  #values = new Map();
  /** @type {Map<string, Series[]>} */
  #families = new Map();
  /** @type {{at: number, values: Map<string, number>}[]} */
  #past = [];

  /**
   * Takes over an event: every sample, or the differences to the event before.
   * @param {number} at in seconds
   * @param {Record<string, number | null>} samples
   * @param {boolean} isWhole
   */
  take(at, samples, isWhole) {
    if (isWhole) {
      this.#values = new Map();
      this.#families = new Map();
    }
    for (const [series, value] of Object.entries(samples)) {
      if (value === null) {
        this.#values.delete(series);
        continue;
      }
      if (!this.#values.has(series)) this.#list(series);
      this.#values.set(series, value);
    }
    this.#past.push({ at, values: new Map(this.#values) });
    while (this.#past.length > 2 && this.#past[0].at < at - WINDOW) this.#past.shift();
  }

  /** Forgets what was before, as after a gap. */
  forget() {
    this.#past = [];
  }

  /** @param {string} series */
  #list(series) {
    const { name, labels } = parse(series);
    const family = this.#families.get(name) ?? [];
    if (!family.some((known) => known.series === series)) family.push({ series, labels });
    this.#families.set(name, family);
  }

  /** @param {string} name  @param {Labels} [where]  @returns {Series[]} */
  #select(name, where = {}) {
    const family = this.#families.get(full(name)) ?? [];
    const wanted = Object.entries(where);
    return family.filter(({ labels }) => wanted.every(([key, value]) => labels[key] === value));
  }

  /** Whether there is such a family. @param {string} name */
  has(name) {
    return this.#families.has(full(name));
  }

  /** The different values of a label, in order. @param {string} name  @param {string} label */
  values(name, label) {
    const values = this.#select(name).map(({ labels }) => labels[label]);
    return [...new Set(values)].filter((value) => value !== undefined);
  }

  /** The labels of a family's only series. @param {string} name */
  labels(name) {
    return this.#select(name)[0]?.labels;
  }

  /** The sum of the series; null without one. @param {string} name  @param {Labels} [where] */
  value(name, where) {
    const series = this.#select(name, where).filter((one) => this.#values.has(one.series));
    if (!series.length) return null;
    return series.reduce((sum, one) => sum + (this.#values.get(one.series) ?? 0), 0);
  }

  /** How much a series has grown within the window. @param {string} series */
  #growth(series) {
    const before = this.#past[0]?.values.get(series) ?? 0;
    const now = this.#values.get(series) ?? 0;
    // Less than before: the process is another one.
    return now < before ? now : now - before;
  }

  #seconds() {
    const last = this.#past.at(-1);
    return last && this.#past.length > 1 ? last.at - this.#past[0].at : 0;
  }

  /** The growth within the window; null where unknown. @param {string} name  @param {Labels} [where] */
  increase(name, where) {
    const series = this.#select(name, where);
    if (!series.length || !this.#seconds()) return null;
    return series.reduce((sum, one) => sum + this.#growth(one.series), 0);
  }

  /** The growth a second within the window; null where unknown. @param {string} name  @param {Labels} [where] */
  rate(name, where) {
    const increase = this.increase(name, where);
    return increase === null ? null : increase / this.#seconds();
  }

  /**
   * A quantile of a histogram within the window, in its unit, interpolated within the bucket; null without observations.
   * @param {string} name  @param {number} quantile  @param {Labels} [where]
   */
  quantile(name, quantile, where) {
    if (!this.#seconds()) return null;
    /** @type {Map<number, number>} */
    const buckets = new Map();
    for (const { series, labels } of this.#select(`${name}_bucket`, where)) {
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      buckets.set(bound, (buckets.get(bound) ?? 0) + this.#growth(series));
    }
    const bounds = [...buckets.keys()].sort((a, b) => a - b);
    const total = buckets.get(Infinity) ?? 0;
    if (!total) return null;
    const rank = quantile * total;
    let [lower, below] = [0, 0];
    for (const bound of bounds) {
      const count = buckets.get(bound) ?? 0;
      if (count >= rank) {
        if (bound === Infinity) return lower;
        return lower + (bound - lower) * ((rank - below) / Math.max(count - below, 1e-9));
      }
      [lower, below] = [bound, count];
    }
    return lower;
  }
}

// @ts-check
// Which calls to Engage failed.

/** The outcomes of `engage_calls_total` that are answers about a contact. */
export const ANSWERS = new Set(["ok", "not_found", "multiple_matches", "rejected", "not_calculated"]);

/**
 * How many calls of a group, or of all, failed within the window; null where unknown.
 * @param {import("./metrics.js").Metrics} metrics  @param {string} [group]
 */
export function failedCalls(metrics, group) {
  /** @type {import("./metrics.js").Labels} */
  const where = group === undefined ? {} : { group };
  const all = metrics.increase("engage_calls_total", where);
  if (all === null) return null;
  const answered = [...ANSWERS].reduce(
    (sum, outcome) => sum + (metrics.increase("engage_calls_total", { ...where, outcome }) ?? 0),
    0,
  );
  return all - answered;
}

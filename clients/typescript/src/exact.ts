/**
 * Amounts as they were sent. `JSON.parse` turns numbers into doubles, which have no exact form for most amounts of money;
 * so each amount gets a second member with the digits of the response, which never has an exponent: `amount: 0.1` and
 * `amountExact: "0.10"`.
 */

/** Members that are amounts of money or points, wherever they appear except below `attributes`. */
const AMOUNTS = [
  "amount",
  "averageReceipt",
  "balance",
  "pending",
  "points",
  "pointsToNext",
  "threshold",
] as const;

type AmountKey = (typeof AMOUNTS)[number];

/** A type of a response, with the exact form next to each amount. */
export type Exact<T> = T extends readonly (infer Item)[]
  ? Exact<Item>[]
  : T extends object
    ? { [Key in keyof T]: Key extends "attributes" ? T[Key] : Exact<T[Key]> } & {
        [Key in keyof T & AmountKey as T[Key] extends number ? `${Key}Exact` : never]: string;
      } & {
        // Absent if the amount is `null`, or of another form.
        [Key in keyof T & AmountKey as T[Key] extends number
          ? never
          : number extends T[Key]
            ? `${Key}Exact`
            : never]?: string;
      }
    : T;

/** A text, a bracket, or any other value. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]]|[^\s",:{}[\]]+/g;
const names: ReadonlySet<string> = new Set(AMOUNTS.map((name) => `"${name}"`));

/** Parses JSON, and adds the exact form of each amount. Throws a `SyntaxError` as `JSON.parse` does. */
export function parse(json: string): unknown {
  let key = "";
  let depth = 0;
  // The depth at which `attributes` begin: they are the retailer's own, and stay as they are.
  let attributes = Infinity;
  const text = json.replace(TOKEN, (token, at: number) => {
    if (token === "{" || token === "[") {
      depth += 1;
      if (key === '"attributes"') attributes = Math.min(attributes, depth);
    } else if (token === "}" || token === "]") {
      if (depth === attributes) attributes = Infinity;
      depth -= 1;
    } else if (token[0] === '"' && json[at + token.length] === ":") {
      key = token;
      return token;
    } else if (names.has(key) && depth < attributes && /^-?\d/.test(token)) {
      const member = `${key.slice(0, -1)}Exact":"${token}"`;
      key = "";
      return `${token},${member}`;
    }
    key = "";
    return token;
  });
  return JSON.parse(text);
}

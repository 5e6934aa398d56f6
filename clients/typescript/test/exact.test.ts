import { describe, expect, test } from "vitest";
import { parse } from "../src/exact.js";

describe("exact amounts", () => {
  test("are next to each number, with its digits", () => {
    expect(parse('{"value":{"amount":0.10,"currency":"SEK"},"points":{"balance":-12345678901234567890.5}}')).toEqual({
      value: { amount: 0.1, amountExact: "0.10", currency: "SEK" },
      points: { balance: -12345678901234567890.5, balanceExact: "-12345678901234567890.5" },
    });
  });

  test("are absent where there is no number", () => {
    expect(parse('{"points":null,"balance":null,"amount":"12","level":{"points":[1]}}')).toEqual({
      points: null,
      balance: null,
      amount: "12",
      level: { points: [1] },
    });
  });

  test("leave the retailer's own attributes and texts that look like members alone", () => {
    const json = '{"attributes":{"points":1,"more":{"amount":2},"list":[{"balance":3}]},"name":"\\"amount\\":1","amount":4}';
    expect(parse(json)).toEqual({ ...(JSON.parse(json) as object), amountExact: "4" });
  });

  test("change nothing else, whatever the text", () => {
    let seed = 1;
    const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
    const text = (): string => ['a"b', "\\", "amount", '{"amount":1}', "å 😀", "", ":", ","][random(8)]!;
    const any = (depth: number): unknown =>
      [
        () => null,
        () => random(1000) / 8,
        () => text(),
        () => random(2) === 1,
        () => Array.from({ length: random(4) }, () => any(depth + 1)),
        () => Object.fromEntries(Array.from({ length: random(4) }, () => [text(), any(depth + 1)])),
      ][depth > 4 ? random(4) : random(6)]!();
    const without = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value, (key, member: unknown) => (/Exact$/.test(key) ? undefined : member)));
    for (let turn = 0; turn < 5000; turn += 1) {
      const value = any(0);
      expect(without(parse(JSON.stringify(value)))).toEqual(value);
    }
  });

  test("of what is no JSON are an error", () => {
    for (const json of ["", "{", '{"amount":1', '{"amount":1.}', "[1,]"]) expect(() => parse(json)).toThrow(SyntaxError);
  });
});

// Writes the examples of the README into test/printed, where they are compiled and run as they are printed.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const folder = new URL("./printed/", import.meta.url);
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
mkdirSync(folder, { recursive: true });
const examples = [...readme.matchAll(/^```ts( [\w-]+)?\n([\s\S]*?)^```$/gm)];
if (examples.length !== 2) throw new Error(`${examples.length} examples in the README, not 2`);
for (const [, name = "first", source] of examples) {
  const local = source.replace('"engage-bff-client"', '"../../src/index.js"');
  writeFileSync(new URL(`${name.trim()}.ts`, folder), local);
}

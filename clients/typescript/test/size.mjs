// Fails if the client is larger than promised: everything that a shop's page loads, compressed.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 6000;
const files = ["index.js", "exact.js", "failure.js", "lines.js"];
const source = files.map((file) => readFileSync(new URL(`../dist/${file}`, import.meta.url), "utf8"));
const size = gzipSync(source.join("\n"), { level: 9 }).length;
console.log(`${size} bytes compressed, of ${LIMIT} at most`);
if (size > LIMIT) process.exit(1);

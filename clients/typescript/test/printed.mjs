// Writes the examples of the README and of docs/INTEGRATING.md into test/printed, where they are compiled and run as they
// are printed.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const folder = new URL("./printed/", import.meta.url);
const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
mkdirSync(folder, { recursive: true });

/** Writes the blocks in one language, which must be as many as there are names. What has no name in the text gets the first. */
function write(path, language, extension, names, change) {
  const blocks = [...read(path).matchAll(new RegExp(`^\`\`\`${language}( [\\w-]+)?\\n([\\s\\S]*?)^\`\`\`$`, "gm"))];
  const found = blocks.map(([, name]) => name?.trim() ?? names[0]);
  if (found.join() !== names.join()) throw new Error(`${path} has ${found.join()}, not ${names.join()}`);
  for (const [index, [, , source]] of blocks.entries()) {
    writeFileSync(new URL(`${found[index]}.${extension}`, folder), change(source));
  }
}

const local = (source) => source.replace('"engage-bff-client"', '"../../src/index.js"');
write("../README.md", "ts", "ts", ["first", "my-pages"], local);
// What the shop has already.
const given = 'import { Client } from "../../src/index.js";\ndeclare const session: { token: string };\n';
const whole = (source) => (source.startsWith("import") ? local(source) : `${given}${source}\nexport { vouchers };\n`);
write("../../../docs/INTEGRATING.md", "ts", "ts", ["checkout", "next"], whole);
write("../../../docs/INTEGRATING.md", "liquid", "liquid", ["theme"], (source) => source);

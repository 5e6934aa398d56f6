/** The real service and the simulator of Engage, as processes on free ports. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { KEYS } from "./token.js";

export const ALVA = {
  id: "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01",
  email: "alva.testsson@example.com",
};
export const BO = "0b8e7a55-93c1-4d2f-9e10-b2c300d41e02";
export const SHOP = "a-key-of-the-shop";
export const TILL = "a-key-of-the-till";
export const SLOW = "a-key-with-a-low-limit";

const binaries = resolve(process.env["BINARIES"] ?? "../../target/debug");
const digest = (key: string): string => createHash("sha256").update(key).digest("hex");

const configuration = (engage: string, keys: string): string => `
[engage]
base_url = "${engage}"
api_key = "test-engage-key"
default_contact_type = "Member"
default_point_definition = "1"
requests_per_second = 1000.0
burst = 1000
[server]
listen = "127.0.0.1:0"
cors_origins = ["https://shop.example.com"]
[operations]
listen = "127.0.0.1:0"
[auth.jwt]
issuer = "https://issuer.example.com"
audience = "engage-bff"
algorithms = ["ES256"]
jwks_file = "${keys}"
contact_id_claim = "contact_id"
scope_claim = "scope"
max_lifetime = "1h"
[[auth.clients]]
id = "shop"
key_sha256 = ["${digest(SHOP)}"]
scopes = ["customer:read", "customer:fresh"]
[[auth.clients]]
id = "till"
key_sha256 = ["${digest(TILL)}"]
scopes = ["customer:read", "customer:read:full", "customer:fresh", "customer:changed", "customer:batch"]
[[auth.clients]]
id = "slow"
key_sha256 = ["${digest(SLOW)}"]
scopes = ["customer:read"]
requests_per_second = 1
`;

/** The first line that matches, or an error with everything that was printed. */
async function line(child: ChildProcess, wanted: RegExp): Promise<string> {
  const printed: string[] = [];
  for await (const text of createInterface({ input: child.stdout! })) {
    printed.push(text);
    const found = wanted.exec(text);
    if (found) {
      child.stdout!.resume();
      return found[1]!;
    }
  }
  throw new Error(`${child.spawnfile} ended:\n${printed.join("\n")}`);
}

export class Service {
  private constructor(
    /** The data listener. */
    readonly url: string,
    /** The simulator's listener. */
    readonly engage: string,
    private readonly children: ChildProcess[],
    private readonly folder: string,
  ) {}

  static async start(): Promise<Service> {
    const folder = await mkdtemp(join(tmpdir(), "engage-bff-client-"));
    const children: ChildProcess[] = [];
    const start = (name: string, ...parameters: string[]): ChildProcess => {
      const child = spawn(join(binaries, name), parameters, { stdio: ["ignore", "pipe", "inherit"] });
      children.push(child);
      return child;
    };
    try {
      const small = ["--contacts", "20", "--seed", "7", "--rate-limit", "0"];
      const simulator = start("engage-simulator", "--listen", "127.0.0.1:0", ...small);
      const engage = await line(simulator, /^(http:\/\/\S+)/);
      await writeFile(join(folder, "keys.json"), JSON.stringify(KEYS));
      const file = join(folder, "engage-bff.toml");
      await writeFile(file, configuration(engage, join(folder, "keys.json")));
      const listen = await line(start("engage-bff", "serve", "--config", file), /"listen":"([^"]+)"/);
      return new Service(`http://${listen}`, engage, children, folder);
    } catch (error) {
      for (const child of children) child.kill("SIGINT");
      throw error;
    }
  }

  /** Sends an instruction to the simulator. */
  async control(path: string, body?: unknown, method = "POST"): Promise<unknown> {
    const init: RequestInit = { method };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await fetch(`${this.engage}/control/${path}`, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const text = await response.text();
    return text ? JSON.parse(text) : undefined;
  }

  async stop(): Promise<void> {
    const ended = this.children.map(
      (child) => new Promise((gone) => (child.exitCode === null ? child.once("exit", gone) : gone(0))),
    );
    for (const child of this.children) child.kill("SIGINT");
    await Promise.all(ended);
    await rm(this.folder, { recursive: true });
  }
}

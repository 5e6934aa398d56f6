/** The tokens of an issuer, whose key is made anew for each run. */
import { generateKeyPairSync, sign } from "node:crypto";

const issuer = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** The issuer's public keys. */
export const KEYS = {
  keys: [{ ...issuer.publicKey.export({ format: "jwk" }), kid: "first", use: "sig", alg: "ES256" }],
};

/** A token of the shopper with that contact id. */
export function token(contact: string): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: "https://issuer.example.com",
    aud: "engage-bff",
    sub: "shopper",
    iat: now,
    exp: now + 300,
    contact_id: contact,
    scope: "customer:read:self customer:fresh customer:changed",
  };
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
  const text = `${encode({ alg: "ES256", typ: "JWT", kid: "first" })}.${encode(claims)}`;
  const signature = sign("sha256", Buffer.from(text), {
    key: issuer.privateKey,
    dsaEncoding: "ieee-p1363",
  });
  return `${text}.${signature.toString("base64url")}`;
}

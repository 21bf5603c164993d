// Vector of a proof: what is signed, and one signature over it. ECDSA draws a secret number for each, so another
// signature of the same key is as good: whoever checks, verifies.

import { createPublicKey, verify } from "node:crypto";
import { keyPairOf, signProof } from "../../../coordinator/simulate/signing-pair.ts";
import { proofBytes } from "../../../shared/base/identity.ts";
import { fromHex, hex } from "../text.ts";

const secret = "0f".repeat(32);
const subject = {
  protocol: 3,
  nonce: "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
  token: "Jt6WpU0bQ4a1",
  run: "fashion-lenet-20260101-000000",
};

export function identity() {
  const pair = keyPairOf(fromHex(secret));
  return {
    privateKey: secret,
    publicKey: pair.publicKey,
    account: pair.account,
    ...subject,
    bytes: hex(proofBytes(subject)),
    signature: signProof(pair, subject),
  };
}

export function verifies({ publicKey, bytes, signature }: ReturnType<typeof identity>): boolean {
  const half = (from: number) => Buffer.from(publicKey.slice(from, from + 64), "hex").toString("base64url");
  const key = createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x: half(2), y: half(66) } });
  return verify("sha256", fromHex(bytes), { key, dsaEncoding: "ieee-p1363" }, fromHex(signature));
}

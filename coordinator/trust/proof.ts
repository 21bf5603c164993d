// Whether a worker holds the key that it says is its own. Synchronous on purpose: a session decides on a message before
// it reads the next.

import { createPublicKey, verify } from "node:crypto";
import { BitswarmError } from "../../shared/base/errors.ts";
import { hexToBytes } from "../../shared/base/hash.ts";
import { type ProofSubject, proofBytes } from "../../shared/base/identity.ts";

/** Hex digits of the prefix 04 and of one coordinate of an uncompressed P-256 point. */
const PREFIX = 2;
const COORDINATE = 64;

function keyOf(publicKey: string) {
  const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64url");
  const x = base64(publicKey.slice(PREFIX, PREFIX + COORDINATE));
  const y = base64(publicKey.slice(PREFIX + COORDINATE));
  try {
    return createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x, y } });
  } catch (cause) {
    throw new BitswarmError(
      "IDENTITY_INVALID",
      `the hello's public key ${publicKey.slice(0, 16)}… is no point of P-256: let the worker make a new key pair (clear the site's data, or delete the file under bitswarm/keys)`,
      { cause },
    );
  }
}

/**
 * @param signature r ‖ s, 64 bytes in hex
 * @throws IDENTITY_INVALID for a key that is none, and for a signature that is not of this key over this subject
 */
export function requireProof(publicKey: string, signature: string, subject: ProofSubject): void {
  const key = keyOf(publicKey);
  if (verify("sha256", proofBytes(subject), { key, dsaEncoding: "ieee-p1363" }, hexToBytes(signature))) return;
  throw new BitswarmError(
    "IDENTITY_INVALID",
    "the proof is not signed by the hello's key over this connection's challenge; connect again, and update the older side where that does not help",
  );
}

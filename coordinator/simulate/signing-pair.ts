// The key pair of a virtual volunteer: Node's own crypto, synchronous, and the same pair for the same secret.

import { createECDH, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { accountOf, type ProofSubject, proofBytes } from "../../shared/base/identity.ts";

export interface SigningPair {
  /** Uncompressed point, 65 bytes in hex. */
  readonly publicKey: string;
  /** Fingerprint of the public key. */
  readonly account: string;
  readonly privateKey: KeyObject;
}

/** The pair of a secret of 32 bytes that are not zero: the same account for the same secret. */
export function keyPairOf(secret: Uint8Array): SigningPair {
  const curve = createECDH("prime256v1");
  curve.setPrivateKey(secret);
  const point = curve.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString("base64url"));
  const key = { kty: "EC", crv: "P-256", x, y, d: Buffer.from(secret).toString("base64url") };
  const publicKey = point.toString("hex");
  return { publicKey, account: accountOf(publicKey), privateKey: createPrivateKey({ format: "jwk", key }) };
}

/** Signature r ‖ s over the subject, 64 bytes in hex. */
export function signProof(pair: SigningPair, subject: ProofSubject): string {
  return signBytes(pair, proofBytes(subject));
}

/** Signature r ‖ s, 64 bytes in hex. */
export function signBytes({ privateKey }: SigningPair, bytes: Uint8Array): string {
  return sign("sha256", bytes, { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("hex");
}

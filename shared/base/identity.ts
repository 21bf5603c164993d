// Who a worker is: a P-256 key pair that it made itself. It proves to hold the key by signing what only this hello can
// mean (SPEC.md, Z).

import { hexToBytes, sha256Hex } from "./hash.ts";
import { encodeText } from "./text.ts";

/** The algorithm of every worker's key, as WebCrypto names it. */
export const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
/** The algorithm of its signatures: r ‖ s, 64 bytes, as WebCrypto gives them. */
export const SIGNATURE_ALGORITHM = { name: "ECDSA", hash: "SHA-256" } as const;

/** What a proof is about. */
export interface ProofSubject {
  /** Of the coordinator's challenge: 32 bytes in hex. */
  readonly nonce: string;
  readonly run: string;
  readonly protocol: number;
  /** The run's token: a coordinator that passes on the challenge of another has not been given the other's. */
  readonly token: string;
}

/** The bytes that are signed: fields of fixed or stated length, so that no two subjects give the same. */
export function proofBytes({ nonce, run, protocol, token }: ProofSubject): Uint8Array<ArrayBuffer> {
  const text = `bitswarm worker proof\n${protocol}\n${nonce}\n${sha256Hex(encodeText(token))}\n${run}`;
  return encodeText(text);
}

/** The account of a public key: its SHA-256. @param publicKey uncompressed point, 65 bytes in hex */
export function accountOf(publicKey: string): string {
  return sha256Hex(hexToBytes(publicKey));
}

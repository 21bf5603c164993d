// SHA-256 where it is fast: WebCrypto's runs beside the page's thread.

import { bytesToHex, sha256Hex } from "../../shared/base/hash.ts";

/** SHA-256 as hex by WebCrypto, which is native; pages without a secure context do not have it. */
export async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const { subtle } = globalThis.crypto as Partial<Crypto>;
  return subtle ? bytesToHex(new Uint8Array(await subtle.digest("SHA-256", bytes))) : sha256Hex(bytes);
}

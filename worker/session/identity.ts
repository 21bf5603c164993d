// The worker's key pair: made once, kept where the platform keeps things, and used to answer challenges. The account
// that the coordinator knows is its fingerprint; nobody is asked for a name.

import { BitswarmError } from "../../shared/base/errors.ts";
import { bytesToHex } from "../../shared/base/hash.ts";
import { KEY_ALGORITHM, SIGNATURE_ALGORITHM } from "../../shared/base/identity.ts";

/** Both halves of a key pair; the private one need not be extractable. */
export interface KeyPair {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

/** Where a platform keeps the key pair. Either call may reject; a worker then has a key for this visit only. */
export interface KeyStore {
  /** Whether keys leave WebCrypto to be kept: a file wants their bytes, IndexedDB takes them as they are. */
  readonly extractable: boolean;
  load(subtle: SubtleCrypto): Promise<KeyPair | undefined>;
  save(pair: KeyPair, subtle: SubtleCrypto): Promise<void>;
}

export interface Identity {
  /** Uncompressed point, 65 bytes in hex. */
  readonly publicKey: string;
  /** Signature r ‖ s over the bytes, 64 bytes in hex. */
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<string>;
}

function subtleCrypto(): SubtleCrypto {
  const { crypto } = globalThis as { readonly crypto?: Partial<Crypto> };
  if (crypto?.subtle) return crypto.subtle;
  throw new BitswarmError(
    "IDENTITY_INVALID",
    "this runtime has no WebCrypto (crypto.subtle), with which a worker proves who it is: open the page over https or on localhost, or update the runtime",
  );
}

async function keptPair(
  store: KeyStore | undefined,
  subtle: SubtleCrypto,
  complain: (message: string) => void,
): Promise<KeyPair> {
  const make = (extractable: boolean) => subtle.generateKey(KEY_ALGORITHM, extractable, ["sign", "verify"]);
  if (!store) return make(false);
  try {
    const known = await store.load(subtle);
    if (known) return known;
    const pair = await make(store.extractable);
    await store.save(pair, subtle);
    return pair;
  } catch (error) {
    complain(`this worker's key cannot be kept, so it is a newcomer at each visit (${String(error).slice(0, 200)})`);
    return make(false);
  }
}

/**
 * The key pair of this worker, the kept one where there is one.
 * @param complain is told why nothing is kept
 * @throws IDENTITY_INVALID where the runtime has no WebCrypto
 */
export async function openIdentity(
  store: KeyStore | undefined,
  complain: (message: string) => void,
): Promise<Identity> {
  const subtle = subtleCrypto();
  const { privateKey, publicKey } = await keptPair(store, subtle, complain);
  return {
    publicKey: bytesToHex(new Uint8Array(await subtle.exportKey("raw", publicKey))),
    sign: async (bytes) => bytesToHex(new Uint8Array(await subtle.sign(SIGNATURE_ALGORITHM, privateKey, bytes))),
  };
}

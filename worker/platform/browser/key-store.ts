// Keeps the worker's key pair in IndexedDB, which takes CryptoKeys as they are: the private one never leaves WebCrypto.

import type { KeyPair, KeyStore } from "../../session/identity.ts";
import { indexedDbStore } from "./indexed-db.ts";

/** A database of its own: the tunings' may be cleared without making this worker a newcomer. */
const DATABASE = "bitswarm-identity";
const NAME = "worker";

/** Its promises reject where the browser withholds the database, as in some private windows. */
export function indexedDbKeyStore(): KeyStore {
  const keys = indexedDbStore(DATABASE, "keys");
  return {
    extractable: false,
    load: async () => pairIn(await keys.get(NAME)),
    save: ({ privateKey, publicKey }) => keys.put({ privateKey, publicKey }, NAME),
  };
}

/** What is there, if it is two keys: another version of the page may have written it. */
function pairIn(value: unknown): KeyPair | undefined {
  const { privateKey, publicKey } = (value ?? {}) as Partial<KeyPair>;
  if (!(privateKey instanceof CryptoKey) || !(publicKey instanceof CryptoKey)) return undefined;
  return { privateKey, publicKey };
}

// Keeps the worker's key pair as a file that only its user can read, one a coordinator's host: hosts cannot tell that
// two workers are one.

import { z } from "zod";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { KEY_ALGORITHM } from "../../../shared/base/identity.ts";
import { encodeText } from "../../../shared/base/text.ts";
import type { KeyStore } from "../../session/identity.ts";

const coordinate = z.string().max(64);
const keySchema = z.object({
  kty: z.literal("EC"),
  crv: z.literal("P-256"),
  x: coordinate,
  y: coordinate,
  d: coordinate,
});

/** A key has a tenth of this; what is larger was not written by us. */
const MOST_BYTES = 4096;
const OWNER_ONLY = 0o600;

/**
 * @param folder exists, and may be read and written
 * @param host of the run's link
 */
export function fileKeyStore(folder: string, host: string): KeyStore {
  const path = `${folder}/${sha256Hex(encodeText(host)).slice(0, 32)}.json`;
  return {
    extractable: true,
    load: async (subtle) => {
      try {
        const { size } = await Deno.stat(path);
        if (size > MOST_BYTES) throw new RangeError(`${path} has ${size} bytes, more than ${MOST_BYTES}`);
        const { d, ...open } = keySchema.parse(JSON.parse(await Deno.readTextFile(path)));
        return {
          privateKey: await subtle.importKey("jwk", { ...open, d }, KEY_ALGORITHM, false, ["sign"]),
          publicKey: await subtle.importKey("jwk", open, KEY_ALGORITHM, true, ["verify"]),
        };
      } catch (error) {
        if (error instanceof Error && error.name === "NotFound") return undefined;
        throw error;
      }
    },
    save: async ({ privateKey }, subtle) => {
      const { kty, crv, x, y, d } = await subtle.exportKey("jwk", privateKey);
      // Beside it and renamed: several workers share the folder, and each may be killed at any time.
      const draft = `${path}.${Deno.pid}`;
      await Deno.writeTextFile(draft, JSON.stringify({ kty, crv, x, y, d }), { mode: OWNER_ONLY });
      await Deno.rename(draft, path);
    },
  };
}

// Keeps tuning tables as files, one an adapter, in the one folder that a Deno worker may write to.

import { sha256Hex } from "../../../shared/base/hash.ts";
import { encodeText } from "../../../shared/base/text.ts";
import type { TuningStore } from "../../tuning/tuning-store.ts";

/** A table has a tenth of this at most; what is larger was not written by us. */
const MOST_BYTES = 4 << 20;

/** @param folder exists, and may be read and written */
export function fileTuningStore(folder: string): TuningStore {
  const pathOf = (key: string) => `${folder}/${sha256Hex(encodeText(key)).slice(0, 32)}.json`;
  return {
    load: async (key) => {
      const path = pathOf(key);
      try {
        const { size } = await Deno.stat(path);
        if (size > MOST_BYTES) throw new RangeError(`${path} has ${size} bytes, more than ${MOST_BYTES}`);
        return JSON.parse(await Deno.readTextFile(path));
      } catch (error) {
        if (error instanceof Error && error.name === "NotFound") return undefined;
        throw error;
      }
    },
    save: async (key, table) => {
      const path = pathOf(key);
      // Beside it and renamed: several workers share the folder, and each may be killed at any time.
      const draft = `${path}.${Deno.pid}`;
      await Deno.writeTextFile(draft, JSON.stringify(table));
      await Deno.rename(draft, path);
    },
  };
}

// Whether the run is over, for a gateway that hears nobody: whoever led has ended with it, and of that only the store
// still knows.

import { BitswarmError } from "../../shared/base/errors.ts";
import { endOf, type KeyReader } from "../cluster/keys.ts";

/** Nobody was heard for so long: it is looked whether the run is over. Those who go on with it are back before. */
export const LOOK_FOR_END_MS = 5000;

/** After which step it ended; nothing where it goes on, or nobody can say. */
export async function knownEnd(keys: KeyReader): Promise<number | undefined> {
  try {
    return await endOf(keys);
  } catch (error) {
    if (error instanceof BitswarmError) return undefined;
    throw error;
  }
}

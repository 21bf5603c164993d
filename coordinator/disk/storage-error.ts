// What a disk that is full or broken is called: the operating system's codes under one of ours, with what to do next.

import { BitswarmError } from "../../shared/base/errors.ts";
import { storageCause } from "../../shared/base/system-errors.ts";

const usual = "Mend that, and try again";

/**
 * STORAGE_FAILED for the disk's own errors, any other error as it is.
 * @param advice what to do next
 * @param doing what could not be done with the path
 */
export function storageError(
  error: unknown,
  path: string,
  advice = usual,
  doing: "written" | "read" = "written",
): unknown {
  if (error instanceof BitswarmError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const what = storageCause(error);
  if (what === undefined) return error;
  return new BitswarmError("STORAGE_FAILED", `${path} cannot be ${doing}: ${what} (${code}). ${advice}`, {
    cause: error,
  });
}

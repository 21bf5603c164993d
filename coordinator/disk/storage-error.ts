// What a disk that is full or broken is called: the operating system's codes under one of ours, with what to do next.

import { BitswarmError } from "../../shared/base/errors.ts";

const causes: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left on the device",
  EDQUOT: "the user's quota is used up",
  EFBIG: "the file would be larger than allowed here",
  EROFS: "the file system is read-only",
  EIO: "the device reports an error",
};

/** STORAGE_FAILED for the disk's own errors, any other error as it is. */
export function storageError(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const what = code === undefined ? undefined : causes[code];
  if (what === undefined) return error;
  return new BitswarmError(
    "STORAGE_FAILED",
    `${path} cannot be written: ${what} (${code}). The newest whole checkpoint is untouched: make room, then \`coordinator resume\` this run`,
    { cause: error },
  );
}

// What a disk that is full or broken is called: the operating system's codes under one of ours, with what to do next.

import { BitswarmError } from "../../shared/base/errors.ts";

const causes: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left on the device",
  EDQUOT: "the user's quota is used up",
  EFBIG: "the file would be larger than allowed here",
  EROFS: "the file system is read-only",
  EACCES: "this user may not write there",
  EIO: "the device reports an error",
};

const ofCheckpoints = "The newest whole checkpoint is untouched: make room, then `coordinator resume` this run";

/** STORAGE_FAILED for the disk's own errors, any other error as it is. @param advice what to do next */
export function storageError(error: unknown, path: string, advice = ofCheckpoints): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const what = code === undefined ? undefined : causes[code];
  if (what === undefined) return error;
  return new BitswarmError("STORAGE_FAILED", `${path} cannot be written: ${what} (${code}). ${advice}`, {
    cause: error,
  });
}

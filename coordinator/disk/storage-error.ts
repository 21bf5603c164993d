// What a disk that is full or broken is called: the operating system's codes under one of ours, with what to do next.

import { BitswarmError } from "../../shared/base/errors.ts";

const causes: Readonly<Record<string, string>> = {
  ENOSPC: "no space is left on the device",
  EDQUOT: "the user's quota is used up",
  EFBIG: "the file would be larger than allowed here",
  EROFS: "the file system is read-only",
  EACCES: "this user has no permission",
  EPERM: "this user has no permission",
  EIO: "the device reports an error",
  EMFILE: "this process has too many files open (`ulimit -n` is the limit)",
  ENFILE: "the machine has too many files open",
  ENOENT: "a folder of the path, or the file, is not there",
  ENOTDIR: "a part of the path is no folder",
  EISDIR: "it is a folder",
  ENOTEMPTY: "the folder is not empty",
  ENAMETOOLONG: "the name is too long for this file system",
  ELOOP: "the path leads in a circle of links",
  EBUSY: "another program holds it",
  ETXTBSY: "another program holds it",
  ESTALE: "the network's file system has lost it",
  ENXIO: "the device is not there",
  ENODEV: "the device is not there",
  ENOTCONN: "the network's file system is not connected",
  EHOSTDOWN: "the network's file system does not answer",
  ETIMEDOUT: "the file system does not answer",
};

const ofCheckpoints = "The newest whole checkpoint is untouched: mend that, then `coordinator resume` this run";

/**
 * STORAGE_FAILED for the disk's own errors, any other error as it is.
 * @param advice what to do next
 * @param doing what could not be done with the path
 */
export function storageError(
  error: unknown,
  path: string,
  advice = ofCheckpoints,
  doing: "written" | "read" = "written",
): unknown {
  if (error instanceof BitswarmError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const what = code === undefined ? undefined : causes[code];
  if (what === undefined) return error;
  return new BitswarmError("STORAGE_FAILED", `${path} cannot be ${doing}: ${what} (${code}). ${advice}`, {
    cause: error,
  });
}

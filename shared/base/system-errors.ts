// What the operating system says of files, in words: nobody is shown a bare code, and none of these is a mistake of
// ours.

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

/** What a system's error comes to, where it is one of files; nothing for any other error. */
export function storageCause(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") return undefined;
  return Object.hasOwn(causes, error.code) ? causes[error.code] : undefined;
}

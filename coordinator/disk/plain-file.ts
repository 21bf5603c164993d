// Files of a folder that may come from elsewhere: read only where they are plain files of a bounded size. A link leads
// out of the folder, a fifo or a device never ends.

import { closeSync, constants, createWriteStream, fstatSync, openSync, type WriteStream } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import { storageError } from "./storage-error.ts";

/** Absent on Windows, where opening a link needs no guard of this kind: few may make one. */
const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<Record<"O_NOFOLLOW" | "O_NONBLOCK", number>>;

/** One of the open call's codes for what is no plain file: a link, or a fifo that nobody reads. */
const notPlain: readonly (string | undefined)[] = ["ELOOP", "EMLINK", "ENXIO"];

function refusal(code: ErrorCode, path: string, what: string): BitswarmError {
  return new BitswarmError(
    code,
    `${path} is ${what}; in the folder of a run there are plain files and folders only: put the file itself there`,
  );
}

/**
 * Opens a plain file, without waiting for whoever else may have it open.
 * @param flags of the open call
 * @param code of the error for a link, a folder, a fifo or a device
 * @throws the system's own errors, ENOENT among them, for what else goes wrong
 */
export async function openPlainFile(path: string, flags: number, code: ErrorCode, mode?: number): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, flags | O_NOFOLLOW | O_NONBLOCK, mode);
  } catch (error) {
    const { code: cause } = error as NodeJS.ErrnoException;
    if (notPlain.includes(cause)) throw refusal(code, path, "a link, a fifo or a device");
    if (cause === "EISDIR") throw refusal(code, path, "a folder");
    throw error;
  }
  const facts = await file.stat();
  if (facts.isFile()) return file;
  await file.close();
  throw refusal(code, path, facts.isDirectory() ? "a folder" : "a fifo or a device");
}

/**
 * Appends to a plain file, made if it is not there.
 * @throws STORAGE_FAILED for a link, a folder, a fifo or a device; what else goes wrong, the stream says
 */
export function appendToPlainFile(path: string): WriteStream {
  const code = "STORAGE_FAILED";
  const { O_APPEND, O_CREAT, O_WRONLY } = constants;
  let fd: number;
  try {
    fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const { code: cause } = error as NodeJS.ErrnoException;
    if (notPlain.includes(cause)) throw refusal(code, path, "a link, a fifo or a device");
    if (cause === "EISDIR") throw refusal(code, path, "a folder");
    return createWriteStream(path, { flags: "a" });
  }
  if (fstatSync(fd).isFile()) return createWriteStream(path, { fd });
  closeSync(fd);
  throw refusal(code, path, "a fifo or a device");
}

/** What may be read of a file. */
export interface ReadLimit {
  /** Of the error for what is no plain file, or too large. */
  readonly code: ErrorCode;
  readonly mostBytes: number;
}

/**
 * The bytes of a plain file, read no further than its size was when it was opened.
 * @throws the limit's code; the system's own errors, ENOENT among them, for what else goes wrong
 */
export async function readPlainFile(path: string, { code, mostBytes }: ReadLimit): Promise<Buffer> {
  const file = await openPlainFile(path, constants.O_RDONLY, code);
  try {
    const { size } = await file.stat();
    if (size > mostBytes) {
      throw new BitswarmError(code, `${path} has ${size} bytes; at most ${mostBytes} are read of it`);
    }
    const bytes = Buffer.alloc(size);
    let read = 0;
    while (read < size) {
      const { bytesRead } = await file.read(bytes, read, size - read, read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return bytes.subarray(0, read);
  } finally {
    await file.close();
  }
}

/** The text of a plain file; nothing where there is none. @throws the limit's code, STORAGE_FAILED */
export async function readPlainText(path: string, limit: ReadLimit): Promise<string | undefined> {
  try {
    return (await readPlainFile(path, limit)).toString("utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw storageError(error, path, undefined, "read");
  }
}

/** Refuses a folder of a run that is a link to another place; what is not there is none. @throws the code */
export async function requirePlainFolder(path: string, code: ErrorCode): Promise<void> {
  const facts = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw storageError(error, path, undefined, "read");
  });
  if (facts !== undefined && !facts.isDirectory()) {
    throw refusal(code, path, facts.isSymbolicLink() ? "a link" : "no folder");
  }
}

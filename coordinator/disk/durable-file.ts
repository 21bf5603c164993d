// Files that are either the old ones or the new ones after any crash: written beside, fsynced, renamed, the folder
// fsynced.

import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** The calls that change the disk, each durable or ordered as it says; tests make them fail one by one. */
export interface FileOperations {
  /** Writes a new file and fsyncs it. */
  writeFile(path: string, bytes: Uint8Array | string, mode?: number): Promise<void>;
  /** Renames in one step; a file that is there is replaced. */
  rename(from: string, to: string): Promise<void>;
  /** Makes a rename or a new file in this folder survive a power failure. */
  syncDirectory(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  /** Removes a file or a folder with all in it; nothing there is fine. */
  remove(path: string): Promise<void>;
}

/**
 * Makes a folder and those that it is in. Node's own way never ends where a file system takes no new folders (/proc).
 */
export async function makeFolders(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const there = code === "EEXIST" || code === "EISDIR" || code === "EROFS" || code === "EPERM" || code === "EACCES";
    if (there && (await isFolder(path))) return;
    const above = dirname(path);
    if (code !== "ENOENT" || above === path || (await isFolder(above))) throw error;
    await makeFolders(above);
    await makeFolders(path);
  }
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
}

export const diskFiles: FileOperations = {
  writeFile: async (path, bytes, mode = 0o666) => {
    const file = await open(path, "w", mode);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  rename,
  syncDirectory: async (path) => {
    const folder = await open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
  makeDirectory: makeFolders,
  remove: (path) => rm(path, { recursive: true, force: true }),
};

/**
 * Replaces the file at `path`: a reader sees the old bytes or the new ones, whole, whenever this process dies.
 * @param mode permissions of the new file, e.g. 0o600 for a secret
 */
export async function writeDurably(
  path: string,
  bytes: Uint8Array | string,
  mode?: number,
  files: FileOperations = diskFiles,
): Promise<void> {
  // Two who write the same file at once, as shards may be, each have a file of their own until it is whole.
  const beside = `${path}.writing-${randomBytes(6).toString("hex")}`;
  try {
    await files.writeFile(beside, bytes, mode);
    await files.rename(beside, path);
  } catch (error) {
    await files.remove(beside).catch(() => {});
    throw error;
  }
  await files.syncDirectory(dirname(path));
}

/** Writes a file that must not be there yet, and makes it durable. @returns false where something has its name */
export async function writeNew(path: string, bytes: Uint8Array): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await open(path, "wx");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await diskFiles.syncDirectory(dirname(path));
  return true;
}

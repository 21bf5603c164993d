// What lies in a source, a folder at a time: plain files and folders under names that can be opened, without what
// operating systems leave behind, and without links that lead out of it.

import type { Dirent } from "node:fs";
import { opendir, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import { storageError } from "../../disk/storage-error.ts";
import { expandBraces } from "./braces.ts";
import type { Left } from "./left.ts";

/** Most names of one folder: ImageNet's validation pictures are 50,000, a class of the largest sets a few thousand. */
export const MOST_NAMES = 2_000_000;
/** Folders in folders, from the source on: Kaggle's take five. */
export const DEEPEST = 8;
/** Names that are remembered, over all folders: recognising a source looks at the same few again and again. */
const REMEMBERED = 200_000;

/** What lies in one folder, each sorted by code unit. */
export interface Folder {
  readonly files: readonly string[];
  readonly folders: readonly string[];
  readonly left: readonly Left[];
}

const none: Folder = { files: [], folders: [], left: [] };

/** Why a name is no sample's or class's; nothing where it may be one. */
export function leftBehind(name: string): string | undefined {
  if (/^(thumbs\.db|desktop\.ini|__macosx|@eadir|lost\+found|\$recycle\.bin)$/i.test(name)) {
    return "left behind by an operating system";
  }
  if (name.startsWith("._") || name === ".DS_Store") return "left behind by macOS";
  if (name.startsWith(".")) return "hidden";
  return name.includes("\ufffd") ? "its name is not UTF-8" : undefined;
}

const byCodeUnit = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

/** How Hugging Face's cache lies: the files of a snapshot are links to blobs beside it. */
function boundaryOf(root: string): string {
  const at = root.lastIndexOf(`${path.sep}snapshots${path.sep}`);
  return at > 0 && /[\\/]datasets--[^\\/]+$/.test(root.slice(0, at)) ? root.slice(0, at) : root;
}

export class Listing {
  /** As it was given, for messages. */
  readonly given: string;
  /** The folder that paths start from; links on the way to it are followed. */
  readonly root: string;
  readonly #only: readonly string[] | undefined;
  readonly #boundary: string;
  readonly #seen = new Map<string, Folder>();
  #remembered = 0;

  private constructor(given: string, root: string, only?: readonly string[]) {
    this.given = given;
    this.root = root;
    this.#only = only;
    this.#boundary = boundaryOf(root);
  }

  /**
   * @param given a folder, a file, or files with braces: `train-{0000..1023}.tar`
   * @throws DATA_MISSING where there is nothing
   */
  static async of(given: string): Promise<Listing> {
    const facts = await stat(given).catch((error: NodeJS.ErrnoException) => error);
    if (!(facts instanceof Error)) {
      const real = await realpath(given);
      if (facts.isDirectory()) return new Listing(given, real);
      if (facts.isFile()) return new Listing(given, path.dirname(real), [path.basename(real)]);
      throw new BitswarmError(
        "DATA_MISSING",
        `${given} is neither a folder nor a file; give the folder of the data set`,
      );
    }
    const names = expandBraces(path.basename(given));
    if (facts.code === "ENOENT" && names !== undefined) {
      const folder = await realpath(path.dirname(given)).catch(() => undefined);
      const missing = folder === undefined ? names : await missingOf(folder, names);
      if (folder !== undefined && missing.length === 0) return new Listing(given, folder, [...names].sort(byCodeUnit));
      throw new BitswarmError(
        "DATA_MISSING",
        `${given} means ${names.length} files, of which ${missing.length} are not there, ${missing[0]} the first: get them, or change the braces`,
      );
    }
    if (facts.code !== "ENOENT" && facts.code !== "ENOTDIR") throw storageError(facts, given, undefined, "read");
    const home = given.split(/[\\/]/).includes("~") ? "; ~ is the shell's, write the whole path" : "";
    throw new BitswarmError(
      "DATA_MISSING",
      `${given} is not there${home}; give the folder of the data set, or its file`,
    );
  }

  /** The files that were given in place of a folder. */
  get single(): readonly string[] | undefined {
    return this.#only;
  }

  absolute(relative: string): string {
    return relative === "" ? this.root : path.join(this.root, ...relative.split("/"));
  }

  /** Bytes of a file. */
  async bytes(relative: string): Promise<number> {
    return (await stat(this.absolute(relative))).size;
  }

  /** What lies in a folder; nothing where there is none. `relative` is "" for the source itself. */
  async folder(relative: string): Promise<Folder> {
    const seen = this.#seen.get(relative);
    if (seen !== undefined) return seen;
    const read = await this.readFolder(relative);
    const names = read.files.length + read.folders.length;
    if (this.#remembered + names <= REMEMBERED) {
      this.#remembered += names;
      this.#seen.set(relative, read);
    }
    return read;
  }

  /** As `folder`, and nothing of it is remembered: for folders that are read once. */
  async readFolder(relative: string): Promise<Folder> {
    if (relative.split("/").length > DEEPEST) {
      return { ...none, left: [{ source: relative, why: `deeper than ${DEEPEST} folders` }] };
    }
    const files: string[] = [];
    const folders: string[] = [];
    const left: Left[] = [];
    if (relative === "" && this.#only !== undefined) return { files: this.#only, folders, left };
    const within = (name: string) => (relative === "" ? name : `${relative}/${name}`);
    let count = 0;
    for await (const entry of this.#entries(relative)) {
      if (++count > MOST_NAMES) {
        throw new BitswarmError(
          "DATA_INVALID",
          `${this.absolute(relative)} has more than ${MOST_NAMES} names; the limit of one folder is ${MOST_NAMES}: sort its files into folders`,
        );
      }
      const why = leftBehind(entry.name) ?? (await this.#kind(within(entry.name), entry));
      if (why === "file") files.push(entry.name);
      else if (why === "folder") folders.push(entry.name);
      else left.push({ source: printable(within(entry.name), 1000), why });
    }
    return { files: files.sort(byCodeUnit), folders: folders.sort(byCodeUnit), left };
  }

  async *#entries(relative: string): AsyncGenerator<Dirent> {
    const absolute = this.absolute(relative);
    try {
      for await (const entry of await opendir(absolute, { bufferSize: 1024 })) yield entry;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return;
      if (code === "EACCES" || code === "EPERM") {
        throw new BitswarmError("DATA_INVALID", `${absolute} cannot be read (${code}): let this user read it`);
      }
      throw storageError(error, absolute, undefined, "read");
    }
  }

  /** `file`, `folder`, or why it is neither. */
  async #kind(relative: string, entry: Dirent): Promise<string> {
    if (entry.isFile()) return "file";
    if (entry.isDirectory()) return "folder";
    if (!entry.isSymbolicLink()) return "a device, fifo or socket";
    const target = await realpath(this.absolute(relative)).catch(() => undefined);
    if (target === undefined) return "a link to nothing";
    const facts = await stat(target).catch(() => undefined);
    const inside = target.startsWith(this.#boundary + path.sep);
    if (!inside) return "a link out of the source: put what it leads to in its place";
    if (facts?.isFile()) return "file";
    return facts?.isDirectory() ? "a link to a folder, whose files would count twice" : "a link to a device";
  }
}

async function missingOf(folder: string, names: readonly string[]): Promise<string[]> {
  const missing: string[] = [];
  for (const name of names) {
    const facts = await stat(path.join(folder, name)).catch(() => undefined);
    if (!facts?.isFile()) missing.push(name);
  }
  return missing;
}

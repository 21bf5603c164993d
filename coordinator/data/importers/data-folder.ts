// Where the files of a data set lie on this machine: where the user says, else where set-ups put them; and what is
// there instead, where they are not.

import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { DataOptions } from "../../../shared/data/data-kinds.ts";
import { fileKind, kindInWords, readHead } from "../../disk/file-kind.ts";
import type { Environment } from "./importer.ts";

/** What to look for. */
export interface DataFiles {
  /** As people call it, e.g. Fashion-MNIST. */
  readonly title: string;
  /** Each file by the names that it may have, whatever their case; the first is the one that messages name. */
  readonly files: readonly (readonly [string, ...string[]])[];
  /** Folders in the given one that the files may be in, as an archive unpacks to. */
  readonly inner?: readonly string[];
  /** Folders to look in where none is given. */
  readonly usual: readonly string[];
  /**
   * How to get the files: "run `npm run setup`, which gets it". Without it they are the user's own, and a folder must
   * be given.
   */
  readonly advice?: string;
  /** What the names in a folder without the files tell of it: "that is the python version: …". */
  readonly hint?: (names: readonly string[]) => string | undefined;
}

/** The files of a data set, found. */
export interface FoundFiles {
  readonly folder: string;
  /** In the order of `DataFiles.files`. */
  readonly paths: readonly string[];
  /** The folder is the user's own: what lies in it is nowhere else, for all that is known. */
  readonly own: boolean;
}

/** Names that a message shows of a folder. */
const SHOWN = 6;
/** Folders beside and below the given one that are looked into for a hint. */
const MOST_FOLDERS = 64;

async function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

interface Look {
  readonly paths: readonly string[];
  readonly missing: readonly string[];
}

async function lookInto(folder: string, files: DataFiles["files"]): Promise<Look> {
  const byName = new Map((await namesIn(folder)).map((name) => [name.toLowerCase(), name]));
  const found = files.map((names) => names.map((name) => byName.get(name.toLowerCase())).find((name) => name));
  return {
    paths: found.flatMap((name) => (name === undefined ? [] : [join(folder, name)])),
    missing: files.flatMap(([name], i) => (found[i] === undefined ? [name] : [])),
  };
}

/** @throws DATA_MISSING where several inner folders have the files: which one is meant is not to be guessed */
async function within(folder: string, { files, inner = [] }: DataFiles): Promise<Omit<FoundFiles, "own"> | undefined> {
  const complete: Omit<FoundFiles, "own">[] = [];
  for (const candidate of [folder, ...inner.map((name) => join(folder, name))]) {
    const { paths, missing } = await lookInto(candidate, files);
    if (missing.length > 0) continue;
    if (candidate === folder) return { folder, paths };
    complete.push({ folder: candidate, paths });
  }
  if (complete.length < 2) return complete[0];
  const all = complete.map((one) => one.folder).join(", ");
  throw new BitswarmError("DATA_MISSING", `${folder} has several data sets, ${all}: set data.root to one of them`);
}

/** Folders straight above and below, and below these: one of them may be the one that was meant. */
async function nearby(folder: string): Promise<string[]> {
  const below = async (parent: string) => {
    const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(parent, entry.name));
  };
  const children = (await below(folder)).slice(0, MOST_FOLDERS);
  const grandchildren = await Promise.all(children.map(below));
  const above = dirname(resolve(folder));
  return [above, ...children, ...grandchildren.flat()].slice(0, 2 * MOST_FOLDERS);
}

/** Why the given folder is not the one: what it is, what is in it, where the files are. */
async function whatIsThere(folder: string, wanted: DataFiles): Promise<string> {
  const { title, files, hint } = wanted;
  const { missing } = await lookInto(folder, files);
  const lacks = `which lacks ${missing.join(", ")}`;
  const info = await stat(folder).catch((error: NodeJS.ErrnoException) => error);
  if (info instanceof Error) {
    const home = folder.split(/[\\/]/).includes("~") ? "; ~ is the shell's, write the whole path" : "";
    if (info.code === "ENOENT") return `which is not there${home}; point it at the folder with ${missing.join(", ")}`;
    return `which cannot be read (${info.code}); point it at the folder with ${missing.join(", ")}`;
  }
  if (!info.isDirectory()) {
    const kind = info.isFile() ? fileKind(await readHead(folder).catch(() => Buffer.alloc(0))) : undefined;
    const packed = /\.(tar(\.\w+)?|tgz|zip)$/i.test(folder);
    const unpack = packed ? ": unpack it, and give the folder with what was in it" : "";
    const other = hint?.([basename(folder)]);
    return `a file${kind ? `, ${kindInWords(kind)}` : ""}, ${lacks}${other ? `; ${other}` : unpack || `; give its folder`}`;
  }
  for (const place of await nearby(folder)) {
    if ((await lookInto(place, files)).missing.length === 0) return `${lacks}; they are in ${place}: point it there`;
  }
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => error);
  if (names instanceof Error) return `which cannot be read (${names.code}): let this user read it`;
  const told = hint?.(names);
  if (told !== undefined) return `${lacks}; ${told}`;
  const shown = names.slice(0, SHOWN).join(", ") + (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "");
  return `${lacks} (there ${names.length === 0 ? "is nothing" : `are ${shown}`}); point it at a folder with the files of ${title}`;
}

/**
 * The files of a data set. An explicit folder must have them; of the usual places the first that has them counts.
 * @throws DATA_MISSING saying what is there instead
 */
export async function findDataFiles(
  { kind, root }: Pick<DataOptions, "kind" | "root">,
  environment: Environment,
  wanted: DataFiles,
): Promise<FoundFiles> {
  const { title, files, usual, advice } = wanted;
  const explicit = root ?? environment.BITSWARM_DATA;
  const listed = files.map(([name]) => name).join(", ");
  if (explicit !== undefined) {
    const found = await within(explicit, wanted);
    if (found !== undefined) return { ...found, own: true };
    const source = root !== undefined ? "data.root" : "BITSWARM_DATA";
    const or = advice === undefined ? "" : `, or leave it out and ${advice}`;
    throw new BitswarmError("DATA_MISSING", `${source} is ${explicit}, ${await whatIsThere(explicit, wanted)}${or}`);
  }
  if (advice === undefined) {
    throw new BitswarmError(
      "DATA_MISSING",
      `data.kind is ${kind}, and neither data.root nor BITSWARM_DATA says where ${listed} are: set data.root to their folder`,
    );
  }
  for (const place of usual) {
    const found = await within(place, wanted);
    if (found !== undefined) return { ...found, own: false };
  }
  throw new BitswarmError(
    "DATA_MISSING",
    `${title} is in none of ${usual.join(", ")}: ${advice}, or set data.root to a folder with ${listed}`,
  );
}

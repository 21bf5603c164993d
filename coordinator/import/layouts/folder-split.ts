// A split that lies as files in folders: a folder a class, or one folder whose files' labels stand in a table.

import { open } from "node:fs/promises";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { storageError } from "../../disk/storage-error.ts";
import { type Cursor, type Item, MAX_SAMPLE_BYTES, type SourceSplit } from "./layout.ts";
import type { Left } from "./left.ts";
import { DEEPEST, type Listing } from "./listing.ts";

/** Files whose sizes are looked at, to estimate those of all. */
const SIZED = 400;

/** A folder of a split. */
export interface Part {
  /** The split's folder, that names are relative to. */
  readonly base: string;
  /** In the base; "" for the base itself. */
  readonly folder: string;
  /** Of all files of the folder, or by the name of each; nothing for one that is in no table. */
  readonly label: number | ((file: string) => number | undefined);
  /** Folders in it are looked into. */
  readonly deep: boolean;
}

export interface FolderSplit extends SourceSplit {
  readonly samples: number;
  /** Samples by part. */
  readonly counts: readonly number[];
  readonly left: readonly Left[];
}

const image = /\.(jpe?g|png|gif|bmp|webp|tiff?|ppm|pgm)$/i;

/** Whether a file is a picture by its name, whatever is in it. */
export function isImageName(name: string): boolean {
  return image.test(name);
}

const join = (...parts: readonly string[]) => parts.filter((part) => part !== "").join("/");

/** Pictures below a folder, relative to it: its own first, then those of its folders. */
async function* pictures(source: Listing, part: Part, left?: Left[], inner = ""): AsyncGenerator<string> {
  const { files, folders, left: passed } = await source.readFolder(join(part.base, part.folder, inner));
  left?.push(...passed);
  for (const file of files) {
    if (isImageName(file)) yield join(inner, file);
    else left?.push({ source: join(part.base, part.folder, inner, file), why: "no picture by its name" });
  }
  for (const folder of folders) {
    if (part.deep) yield* pictures(source, part, left, join(inner, folder));
    else left?.push({ source: join(part.base, part.folder, inner, folder), why: "a folder among pictures" });
  }
}

async function sizeOf(source: Listing, relative: string): Promise<number> {
  return source.bytes(relative).catch(() => 0);
}

/** The file's bytes, or why it has none that can be used. */
async function contentOf(path: string): Promise<Uint8Array<ArrayBuffer> | string> {
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => error);
  if (file instanceof Error) {
    if (file.code === "EMFILE" || file.code === "ENFILE") throw storageError(file, path, undefined, "read");
    return `cannot be opened (${file.code})`;
  }
  try {
    const { size } = await file.stat();
    if (size > MAX_SAMPLE_BYTES) return `has ${size} bytes; at most ${MAX_SAMPLE_BYTES} are read`;
    const content = new Uint8Array(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await file.read(content, filled, size - filled, filled);
      if (bytesRead === 0) return `ends at byte ${filled} of ${size}: it changed while it was read`;
      filled += bytesRead;
    }
    return content;
  } catch (error) {
    return `cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`;
  } finally {
    await file.close();
  }
}

interface At {
  readonly part: number;
  readonly file: string;
  readonly bytes: number;
}

const write = ({ part, file, bytes }: At): Cursor => JSON.stringify([part, file, bytes]);

function parse(cursor: Cursor): At {
  const [part, file, bytes] = JSON.parse(cursor) as [number, string, number];
  return { part, file, bytes };
}

/**
 * Counts the files of a split's folders, and reads them.
 * @throws DATA_INVALID, once it reads on, where the file that it read last is no longer there
 */
export async function openFolderSplit(
  source: Listing,
  parts: readonly Part[],
  tell?: (what: string) => void,
): Promise<FolderSplit> {
  const left: Left[] = [];
  const counts: number[] = [];
  let sized = 0;
  let bytes = 0;
  for (const [at, part] of parts.entries()) {
    let count = 0;
    // A few of each class, spread over all: the first of a class are as good as others.
    const share = Math.max(1, Math.floor(SIZED / parts.length));
    const skip = parts.length > SIZED && at % Math.ceil(parts.length / SIZED) !== 0;
    for await (const name of pictures(source, part, left)) {
      if (count < share && !skip) {
        bytes += await sizeOf(source, join(part.base, part.folder, name));
        sized++;
      }
      count++;
    }
    counts.push(count);
    if ((at + 1) % 100 === 0) tell?.(`looking at folder ${at + 1} of ${parts.length}`);
  }
  const samples = counts.reduce((sum, count) => sum + count, 0);
  const read = async function* (from?: Cursor): AsyncGenerator<Item> {
    const start = from === undefined ? undefined : parse(from);
    let bytesRead = start?.bytes ?? 0;
    let passed = start === undefined;
    for (let part = start?.part ?? 0; part < parts.length; part++) {
      const { base, folder, label } = parts[part];
      for await (const file of pictures(source, parts[part])) {
        if (!passed) {
          passed = file === start?.file;
          continue;
        }
        const path = join(base, folder, file);
        const name = join(folder, file);
        const index = typeof label === "number" ? label : label(file);
        const content =
          index === undefined ? "has no label in the table of labels" : await contentOf(source.absolute(path));
        if (typeof content !== "string") bytesRead += content.length;
        const place = { cursor: write({ part, file, bytes: bytesRead }), bytesRead };
        if (typeof content === "string") yield { reject: { source: path, why: content }, ...place };
        else yield { sample: { name, label: index as number, content }, ...place };
      }
      if (!passed) {
        throw new BitswarmError(
          "DATA_INVALID",
          `${source.absolute(join(base, folder))} no longer has ${start?.file}, which was read last: the source changed since; import it from the beginning`,
        );
      }
    }
  };
  return { samples, bytes: sized === 0 ? 0 : Math.round((bytes / sized) * samples), counts, left, read };
}

/** Whether there is a picture in a folder or a few folders below it. */
export async function hasPictures(source: Listing, folder: string, depth = 3): Promise<boolean> {
  const { files, folders } = await source.folder(folder);
  if (files.some(isImageName)) return true;
  if (depth === 0 || folder.split("/").length >= DEEPEST) return false;
  for (const inner of folders.slice(0, 4)) if (await hasPictures(source, join(folder, inner), depth - 1)) return true;
  return false;
}

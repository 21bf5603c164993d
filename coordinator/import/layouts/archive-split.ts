// A split that lies in archives: each is read from its beginning or from where a cursor says, and its sum is checked
// on the way.

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import { type ByteReader, openBytes } from "../formats/byte-reader.ts";
import { type TarMember, TarReader } from "../formats/tar.ts";
import { isImageName } from "./folder-split.ts";
import { type Cursor, type Item, MAX_SAMPLE_BYTES, type SourceSample, type SourceSplit } from "./layout.ts";
import type { Left } from "./left.ts";
import { leftBehind } from "./listing.ts";
import { checkSum, type KnownSum, requireSum, Sums } from "./sums.ts";

/** A sample of an archive, or what stands in its place, and where reading goes on behind it. */
export type Found =
  | { readonly sample: SourceSample; readonly reject?: undefined; readonly next: Position }
  | { readonly reject: Left; readonly sample?: undefined; readonly next: Position };

/** Offsets in an archive: where the file is opened, then where in what is found there. */
export type Position = readonly number[];

export interface Archive {
  /** The whole path. */
  readonly file: string;
  readonly bytes: number;
  /** To be checked while it is read. */
  readonly sum: KnownSum | undefined;
}

/** @throws DATA_INVALID where the sum of one is known, and another */
export async function openArchives(files: readonly string[], sums = new Sums()): Promise<Archive[]> {
  const archives: Archive[] = [];
  // One after another: they may be thousands, and each would hold a file open.
  for (const file of files) archives.push({ file, bytes: (await stat(file)).size, sum: await sums.toCheck(file) });
  return archives;
}

/** Reads what is in an open archive. The reader stands at the position's first offset. */
export type ArchiveReader = (reader: ByteReader, from: Position | undefined) => AsyncGenerator<Found>;

async function* readArchive(archive: Archive, read: ArchiveReader, from: Position | undefined) {
  const { file, sum } = archive;
  const hash = sum !== undefined && from === undefined ? createHash("md5") : undefined;
  const reader = await openBytes(file, { from: from?.[0], eachByte: hash && ((bytes) => void hash.update(bytes)) });
  try {
    for await (const found of read(reader, from)) yield { ...found, taken: reader.taken };
    if (sum === undefined) return;
    // What is packed, or was begun in its midst, has not gone by whole.
    if (hash !== undefined && reader.end !== undefined) requireSum(file, hash.digest("hex"), sum);
    else await checkSum(file, sum);
  } finally {
    await reader.close();
  }
}

/** The archives one after another. @param samples how many there are, where it is known */
export function archiveSplit(archives: readonly Archive[], read: ArchiveReader, samples?: number): SourceSplit {
  return {
    samples,
    bytes: archives.reduce((sum, { bytes }) => sum + bytes, 0),
    read: async function* (cursor?: Cursor): AsyncGenerator<Item> {
      const [first, ...position] = cursor === undefined ? [0] : (JSON.parse(cursor) as number[]);
      let before = archives.slice(0, first).reduce((sum, { bytes }) => sum + bytes, 0);
      for (const [at, archive] of archives.entries()) {
        if (at < first) continue;
        const from = at === first && position.length > 0 ? position : undefined;
        for await (const { next, taken, ...found } of readArchive(archive, read, from)) {
          yield { ...found, cursor: JSON.stringify([at, ...next]), bytesRead: before + taken } as Item;
        }
        before += archive.bytes;
      }
    },
  };
}

/** A member's name as a sample's: tars of a folder begin each with `./`. */
export function memberName(name: string): string {
  return name.replace(/^(\.\/)+/, "");
}

const baseName = (name: string) => name.slice(name.lastIndexOf("/") + 1);

/** Whether a member is nobody's sample: folders, and what operating systems leave behind. */
export function isPassedOver({ name, kind }: TarMember): boolean {
  return kind === "folder" || leftBehind(baseName(name)) !== undefined;
}

/**
 * The pictures of a tar.
 * @param labelOf the label of a member by its name, or why it has none
 * @param title what the archive is called in what is told
 */
export async function* picturesOf(
  tar: TarReader,
  title: string,
  labelOf: (name: string) => number | string,
): AsyncGenerator<Found & { readonly member: TarMember }> {
  for (let member = await tar.next(); member !== undefined; member = await tar.next()) {
    if (isPassedOver(member)) continue;
    const name = memberName(member.name);
    const why = whyNot(member) ?? labelOf(name);
    const next = [member.next];
    if (typeof why === "string") {
      yield { reject: { source: `${title}: ${printable(name, 1000)}`, why }, next, member };
    } else yield { sample: { name, label: why, content: await tar.content() }, next, member };
  }
}

function whyNot({ name, kind, bytes }: TarMember): string | undefined {
  if (kind !== "file") return "a link or device in the archive, not the file itself";
  if (!isImageName(name)) return "no picture by its name";
  return bytes > MAX_SAMPLE_BYTES ? `has ${bytes} bytes; at most ${MAX_SAMPLE_BYTES} are read` : undefined;
}

/** Reads tars whose pictures lie flat, or in folders. */
export function flatTar(labelOf: (name: string) => number | string): ArchiveReader {
  return async function* (reader) {
    const title = reader.path.slice(reader.path.lastIndexOf("/") + 1);
    for await (const { member: _, ...found } of picturesOf(new TarReader(reader), title, labelOf)) yield found;
  };
}

/**
 * Looks at the headers of a tar's files, passing over what is in them.
 * @throws DATA_INVALID where the archive is cut off or damaged
 */
export async function scanTar(file: string, each: (member: TarMember) => void): Promise<void> {
  const reader = await openBytes(file, { block: 2 ** 12 });
  try {
    const tar = new TarReader(reader);
    for (let member = await tar.next(); member !== undefined; member = await tar.next()) {
      if (!isPassedOver(member)) each(member);
    }
  } finally {
    await reader.close();
  }
}

export function unexpectedMember(file: string, { name, header }: TarMember, expected: string): BitswarmError {
  return new BitswarmError(
    "DATA_INVALID",
    `${file}: member ${printable(name)} at byte ${header} is not expected; it holds ${expected}: is it the right file?`,
  );
}

// ILSVRC2012's development kit: which WordNet id a number of the ground truth means, and the number of each validation
// picture. The numbers are nobody's labels: a label is the rank of a WordNet id.

import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { openBytes } from "../formats/byte-reader.ts";
import { MAX_MAT_BYTES, readStructures } from "../formats/mat.ts";
import { TarReader } from "../formats/tar.ts";
import type { SourceClass } from "./layout.ts";
import { Sums } from "./sums.ts";
import { isWnid, linesOf, MAX_CLASS_NAME, MAX_TEXT_BYTES, readTextAt } from "./wordnet.ts";

export const DEVKIT = "ILSVRC2012_devkit_t12.tar.gz";
const META = "meta.mat";
const TRUTH = "ILSVRC2012_validation_ground_truth.txt";

export interface Devkit {
  /** The classes that pictures have, in the order of their WordNet ids. */
  readonly classes: readonly (SourceClass & { readonly id: string })[];
  /** Labels of the validation pictures: that of picture n at n − 1. */
  readonly truth: readonly number[];
}

function invalid(file: string, what: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${file}: ${what}; get ${DEVKIT} again, from image-net.org`);
}

function classesIn(file: string, mat: Uint8Array) {
  const rows = readStructures(file, mat, "synsets", ["ILSVRC2012_ID", "WNID", "words", "num_children"]);
  // Nodes above the classes stand in the same table: they have children.
  const leaves = rows.filter(({ num_children }) => num_children === 0);
  const byNumber = new Map<number, string>();
  const words = new Map<string, string>();
  for (const { ILSVRC2012_ID: number, WNID: id, words: name } of leaves) {
    if (typeof number !== "number" || !Number.isInteger(number) || byNumber.has(number)) {
      throw invalid(file, `ILSVRC2012_ID ${number} is no number, or stands twice`);
    }
    if (typeof id !== "string" || !isWnid(id) || words.has(id)) {
      throw invalid(file, `WNID of ILSVRC2012_ID ${number} is no WordNet id, or stands twice`);
    }
    byNumber.set(number, id);
    words.set(id, typeof name === "string" && name !== "" ? name.slice(0, MAX_CLASS_NAME) : id);
  }
  const classes = [...words.keys()].sort().map((id) => ({ id, name: words.get(id) as string }));
  return { byNumber, classes };
}

/** @throws DATA_INVALID naming file, line and value */
export function devkitOf(metaFile: string, mat: Uint8Array, truthFile: string, text: string): Devkit {
  const { byNumber, classes } = classesIn(metaFile, mat);
  const labels = new Map(classes.map(({ id }, label) => [id, label]));
  const truth = linesOf(text).map((line, at) => {
    const id = /^\s*\d{1,6}\s*$/.test(line) ? byNumber.get(Number(line)) : undefined;
    const label = id === undefined ? undefined : labels.get(id);
    if (label === undefined) {
      const numbers = [...byNumber.keys()];
      const range = `${Math.min(...numbers)} to ${Math.max(...numbers)}`;
      throw invalid(
        truthFile,
        `line ${at + 1} is ${JSON.stringify(line.slice(0, 20))}; the devkit's classes are ${range}`,
      );
    }
    return label;
  });
  return { classes, truth };
}

/** @param file the packed devkit */
export async function readDevkit(file: string): Promise<Devkit> {
  await new Sums().toCheck(file);
  const reader = await openBytes(file);
  const found = new Map<string, Uint8Array>();
  try {
    const tar = new TarReader(reader);
    for (let member = await tar.next(); member !== undefined; member = await tar.next()) {
      const name = path.posix.basename(member.name);
      if (member.kind !== "file" || (name !== META && name !== TRUTH)) continue;
      const limit = name === META ? MAX_MAT_BYTES : MAX_TEXT_BYTES;
      if (member.bytes > limit) throw invalid(file, `${name} has ${member.bytes} bytes; the limit is ${limit}`);
      found.set(name, await tar.content());
    }
  } finally {
    await reader.close();
  }
  const meta = found.get(META);
  const truth = found.get(TRUTH);
  if (meta === undefined || truth === undefined) throw invalid(file, `has no ${meta === undefined ? META : TRUTH}`);
  return devkitOf(`${file}: ${META}`, meta, `${file}: ${TRUTH}`, Buffer.from(truth).toString("utf8"));
}

/** @param folder the unpacked devkit's `data` */
export async function readUnpackedDevkit(folder: string): Promise<Devkit> {
  const meta = path.join(folder, META);
  const truth = path.join(folder, TRUTH);
  const reader = await openBytes(meta);
  try {
    if (reader.fileBytes > MAX_MAT_BYTES)
      throw invalid(meta, `has ${reader.fileBytes} bytes; the limit is ${MAX_MAT_BYTES}`);
    const text = await readTextAt(truth).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") throw invalid(folder, `has no ${TRUTH}`);
      throw error;
    });
    return devkitOf(meta, await reader.read(reader.fileBytes), truth, text);
  } finally {
    await reader.close();
  }
}

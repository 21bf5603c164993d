// CIFAR-10 and CIFAR-100: pixels, binary or pickled, unpacked or in the archive that they come in.

import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { type CifarFiles, hundredFiles, tenFiles } from "../../data/importers/cifar.ts";
import { scanTar } from "./archive-split.ts";
import { type Batch, namesOf, recordsIn, samplesOf, type Used } from "./cifar-batches.ts";
import { joinPath, some } from "./class-folders.ts";
import type { Cursor, Item, Layout, LayoutOptions, OpenSource, Recognition, SourceSplit } from "./layout.ts";
import type { Listing } from "./listing.ts";
import { Sums } from "./sums.ts";
import { MAX_CLASS_NAME } from "./wordnet.ts";

/** Inner folders that are looked into. */
const FEW = 8;
/** Most files of an archive that are remembered: CIFAR's have 8. */
const MOST_MEMBERS = 64;

interface CifarSet {
  readonly files: CifarFiles;
  readonly pickled: boolean;
  /** A folder of the source, or an archive. */
  readonly at: string;
  readonly packed: boolean;
}

const plain = (name: string) => name.replace(/\.bin$/, "");
const sets = [tenFiles, hundredFiles];

function setsIn(folder: string, files: readonly string[]): CifarSet[] {
  return sets.flatMap((set) =>
    [false, true].flatMap((pickled): CifarSet[] => {
      const wanted = set.train.map((name) => (pickled ? plain(name) : name));
      const unpacked = wanted.some((name) => files.includes(name)) && hasMark(set, pickled, files);
      const archive = (pickled ? set.archive.replace("-binary", "-python") : set.archive).toLowerCase();
      const packed = files.find((name) => [archive, archive.replace(/\.gz$/, "")].includes(name.toLowerCase()));
      return [
        ...(unpacked ? [{ files: set, pickled, at: folder, packed: false }] : []),
        ...(packed ? [{ files: set, pickled, at: joinPath(folder, packed), packed: true }] : []),
      ];
    }),
  );
}

/** Files called `train` and `test` are anybody's: those of CIFAR-100 have `meta` beside them. */
function hasMark(set: CifarFiles, pickled: boolean, files: readonly string[]): boolean {
  return set === tenFiles || !pickled || files.includes("meta");
}

async function find(source: Listing): Promise<CifarSet[]> {
  const { files, folders } = await source.folder("");
  const here = setsIn("", files);
  if (here.some(({ packed }) => !packed) || source.single !== undefined) return here;
  const inner = await Promise.all(
    folders.slice(0, FEW).map(async (folder) => setsIn(folder, (await source.folder(folder)).files)),
  );
  const all = [...here, ...inner.flat()];
  // What an archive holds often lies unpacked beside it, and a binary version beside the pickled one.
  return sets.flatMap((set) => {
    const of = all.filter(({ files }) => files === set);
    return of.sort((a, b) => Number(a.packed) - Number(b.packed) || Number(a.pickled) - Number(b.pickled)).slice(0, 1);
  });
}

/** All files of a set by their names. */
async function batchesOf(source: Listing, { at, packed }: CifarSet): Promise<ReadonlyMap<string, Batch>> {
  const batches = new Map<string, Batch>();
  if (packed) {
    const file = source.absolute(at);
    await scanTar(file, (member) => {
      const name = path.posix.basename(member.name);
      if (member.kind !== "file" || batches.size >= MOST_MEMBERS) return;
      batches.set(name, { name, file, begin: member.content, bytes: member.bytes });
    });
    return batches;
  }
  for (const name of (await source.folder(at)).files.slice(0, MOST_MEMBERS)) {
    const relative = joinPath(at, name);
    batches.set(name, { name, file: source.absolute(relative), begin: 0, bytes: await source.bytes(relative) });
  }
  return batches;
}

function split(batches: readonly Batch[], { files, pickled }: CifarSet, used: Used): SourceSplit {
  const bytes = batches.reduce((sum, batch) => sum + batch.bytes, 0);
  return {
    samples: pickled ? undefined : batches.reduce((sum, batch) => sum + recordsIn(batch, files), 0),
    bytes,
    read: async function* (cursor?: Cursor): AsyncGenerator<Item> {
      const [first, begun] = cursor === undefined ? [0, 0] : (JSON.parse(cursor) as [number, number]);
      let before = batches.slice(0, first).reduce((sum, batch) => sum + batch.bytes, 0);
      for (let at = first; at < batches.length; at++) {
        let row = at === first ? begun : 0;
        for await (const { label, content } of samplesOf(batches[at], files, used, row)) {
          const sample = { name: `${batches[at].name}#${row}`, label, content };
          row++;
          const bytesRead = Math.min(before + batches[at].bytes, before + row * (files.labels.length + content.length));
          yield { sample, cursor: JSON.stringify([at, row]), bytesRead };
        }
        before += batches[at].bytes;
      }
    },
  };
}

async function classNames(batches: ReadonlyMap<string, Batch>, { files, pickled }: CifarSet, used: Used) {
  const kind = used === 0 ? "coarse" : "fine";
  const ten = files === tenFiles;
  const text = ten ? "batches.meta.txt" : `${kind}_label_names.txt`;
  const batch = batches.get(pickled ? (ten ? "batches.meta" : "meta") : text);
  const names = batch && (await namesOf(batch, ten ? "label_names" : `${kind}_label_names`));
  const { classes } = files.labels[used];
  const known = names?.length === classes ? names : undefined;
  return Array.from({ length: classes }, (_, label) => ({
    name: (known?.[label] ?? String(label)).slice(0, MAX_CLASS_NAME),
  }));
}

async function open(source: Listing, found: readonly CifarSet[], options: LayoutOptions): Promise<OpenSource> {
  const [set, other] = found;
  if (other !== undefined) {
    const places = found.map(({ at }) => at);
    throw new BitswarmError("DATA_INVALID", `${source.given} has several data sets, ${some(places)}: give one of them`);
  }
  const { files, pickled, packed, at } = set;
  if (packed) await new Sums().toCheck(source.absolute(at));
  const used: Used = files === hundredFiles && options.labels !== "coarse" ? 1 : 0;
  const batches = await batchesOf(source, set);
  const of = (names: readonly string[]) =>
    names.map((name) => {
      const wanted = pickled ? plain(name) : name;
      const batch = batches.get(wanted);
      if (batch !== undefined) return batch;
      throw new BitswarmError("DATA_MISSING", `${source.absolute(at)} has no ${wanted}: unpack ${files.title} again`);
    });
  return {
    classes: await classNames(batches, set, used),
    media: "pixels",
    shape: { h: 32, w: 32, c: 3 },
    splits: { train: split(of(files.train), set, used), test: split(of(files.test), set, used) },
    notices: [],
    left: [],
  };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const found = await find(source);
  if (found.length === 0) return undefined;
  const seen = found.map(({ files, pickled, at, packed }) => {
    const kind = pickled ? "pickles" : "binary files";
    return `${files.title}'s ${kind}${packed ? ` in ${at}` : at === "" ? "" : ` in ${at}`}`;
  });
  return { strength: 3, why: `there are ${some(seen)}`, open: (options) => open(source, found, options) };
}

export const cifar: Layout = {
  kind: "cifar",
  title: "CIFAR",
  files:
    "data_batch_1.bin to 5 and test_batch.bin, or train.bin and test.bin; the same as pickles; cifar-10-binary.tar.gz",
  recognise,
};

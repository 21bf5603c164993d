// Parquet as Hugging Face stores data sets of pictures: read a row group at a time; the labels are the data set's own
// where these are in the order of WordNet ids, else mapped to it.

import { basename } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import { ParquetFile } from "../formats/parquet.ts";
import { joinPath, some } from "./class-folders.ts";
import {
  type Cursor,
  type Item,
  type Layout,
  type LayoutOptions,
  MAX_SAMPLE_BYTES,
  type OpenSource,
  type Recognition,
  type SourceClass,
  type SourceSplit,
} from "./layout.ts";
import { boundedLeft } from "./left.ts";
import type { Listing } from "./listing.ts";
import { missingNotice } from "./numbered.ts";
import { hasTable, rowOf, type Table, type TableRow, tableOf } from "./parquet-table.ts";
import { checkSum, type KnownSum, Sums } from "./sums.ts";
import { isWnid, MOST_CLASSES, requireClasses, wnidAtEnd, wnidAtStart } from "./wordnet.ts";

const splitNames = ["train", "val", "test"] as const;
type SplitName = (typeof splitNames)[number];
type Files = Readonly<Record<SplitName, readonly string[]>>;
/** Folders in folders that are looked into: `data`, or `default/train` of converted data sets. */
const DEEP = 3;
/** Paths that are compared, to see whether they name pictures. */
const COMPARED = 10_000;
/** Most folders that are looked into at each level. */
const FEW = 16;

function splitOf(path: string): SplitName {
  const word = (pattern: string) => new RegExp(`(^|[^a-z])(${pattern})([^a-z]|$)`, "i").test(path);
  if (word("val|valid|validation|dev|eval")) return "val";
  return word("test|testing") ? "test" : "train";
}

async function parquetFiles(source: Listing, folder = "", depth = DEEP): Promise<string[]> {
  const { files, folders } = await source.folder(folder);
  const found = files.filter((name) => /\.parquet$/i.test(name)).map((name) => joinPath(folder, name));
  if (depth === 0 || source.single !== undefined) return found;
  const inner = await Promise.all(
    folders.slice(0, FEW).map((name) => parquetFiles(source, joinPath(folder, name), depth - 1)),
  );
  return [...found, ...inner.flat()];
}

async function withFile<T>(path: string, use: (file: ParquetFile) => Promise<T> | T): Promise<T> {
  const file = await ParquetFile.open(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** The WordNet id that a picture's path tells, at its end, at the beginning of its name, or as its folder. */
function wnidOf(path: string): string | undefined {
  const folder = /(?:^|\/)(n\d{8})\/[^/]+$/.exec(path)?.[1];
  return wnidAtEnd(path) ?? wnidAtStart(basename(path)) ?? folder;
}

/** What the labels and paths of all rows say. */
interface Census {
  /** WordNet ids by label. */
  readonly idsOf: Map<number, string>;
  readonly labelled: Record<SplitName, number>;
  readonly unlabelled: Record<SplitName, number>;
  largest: number;
  /** The first paths; of a split two of which are one, paths name no sample. */
  readonly paths: Set<string>;
  repeated: boolean;
}

function note(census: Census, split: SplitName, { label = -1, path = "" }: TableRow, where: string): void {
  if (label < 0) {
    census.unlabelled[split]++;
    return;
  }
  if (label >= MOST_CLASSES) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${where}: label ${label}; the limit is ${MOST_CLASSES - 1}: is it the right column?`,
    );
  }
  census.labelled[split]++;
  census.largest = Math.max(census.largest, label);
  if (path !== "" && census.paths.size < COMPARED) {
    const name = `${split}/${path}`;
    census.repeated ||= census.paths.has(name);
    census.paths.add(name);
  }
  const id = wnidOf(path);
  if (id === undefined) return;
  const known = census.idsOf.get(label);
  if (known !== undefined && known !== id) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${where}: ${printable(path)} is of ${id}, and label ${label} is ${known} elsewhere: labels and pictures do not belong together; get the files again`,
    );
  }
  census.idsOf.set(label, id);
}

async function count(source: Listing, files: Files, options: LayoutOptions): Promise<Census> {
  const none = () => ({ train: 0, val: 0, test: 0 });
  const census: Census = {
    idsOf: new Map(),
    labelled: none(),
    unlabelled: none(),
    largest: -1,
    paths: new Set(),
    repeated: false,
  };
  for (const split of splitNames) {
    for (const [at, path] of files[split].entries()) {
      options.tell?.(`looking at the labels of ${basename(path)}, ${at + 1} of ${files[split].length}`);
      await withFile(source.absolute(path), async (file) => {
        const table = tableOf(file, options);
        const columns = table.path === undefined ? [table.label] : [table.label, table.path];
        for (const group of file.groups.keys()) {
          const rows = await file.read(group, columns);
          for (const [i, row] of rows.entries())
            note(census, split, rowOf(table, row), `${file.path}, row group ${group}, row ${i}`);
        }
      });
    }
  }
  return census;
}

interface Labelling {
  readonly classes: readonly SourceClass[];
  /** From the file's label to ours. */
  readonly labels: readonly number[];
  readonly notices: readonly string[];
}

/**
 * Classes in the order of their WordNet ids, where these are known: from the names, or from the pictures' paths.
 * @throws DATA_INVALID where ids are known of some classes, and the order of the others cannot be
 */
function labelling(where: string, { idsOf, largest }: Census, names: readonly string[] | undefined): Labelling {
  const total = names?.length ?? largest + 1;
  requireClasses(total, where);
  if (largest >= total) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${where}: label ${largest}, and there are ${total} names of classes: get the files again`,
    );
  }
  const identity = Array.from({ length: total }, (_, label) => label);
  const ids = names?.every(isWnid) ? names : identity.map((label) => idsOf.get(label));
  const nameOf = (label: number) => names?.[label] ?? ids[label] ?? String(label);
  const known = ids.flatMap((id) => id ?? []);
  if (new Set(known).size !== known.length) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${where}: two labels are of one WordNet id: labels and pictures do not belong together; get the files again`,
    );
  }
  const inOrder = known.every((id, i) => i === 0 || known[i - 1] < id);
  const classOf = (label: number): SourceClass => {
    const id = ids[label];
    return id === undefined ? { name: nameOf(label) } : { name: nameOf(label), id };
  };
  if (inOrder) return { classes: identity.map(classOf), labels: identity, notices: [] };
  if (known.length < total) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${where}: labels are not in the order of WordNet ids, and ${total - known.length} of ${total} classes have no picture that tells its id: the order of published models cannot be made`,
    );
  }
  const sorted = [...identity].sort((a, b) => ((ids[a] as string) < (ids[b] as string) ? -1 : 1));
  const labels = identity.map((label) => sorted.indexOf(label));
  return {
    classes: sorted.map(classOf),
    labels,
    notices: [
      "the labels of the files are not in the order of WordNet ids: they are mapped to it, as published models have them",
    ],
  };
}

interface At {
  readonly file: number;
  readonly group: number;
  readonly row: number;
}

async function* readFile(
  path: string,
  options: LayoutOptions,
  labels: readonly number[],
  repeated: boolean,
  from: At | undefined,
): AsyncGenerator<Item & { readonly at: At }> {
  const file = await ParquetFile.open(path);
  const name = basename(path);
  try {
    const table: Table = tableOf(file, options);
    const columns = [table.bytes, table.label, ...(table.path === undefined ? [] : [table.path])];
    const total = file.groups.reduce((sum, rows) => sum + rows, 0);
    let before = 0;
    for (const [group, rows] of file.groups.entries()) {
      const first = from !== undefined && group === from.group ? from.row : 0;
      if (from === undefined || group >= from.group) {
        // One group in memory: what was read of it goes before the next is asked for.
        const read = first < rows ? await file.read(group, columns) : [];
        for (let row = first; row < read.length; row++) {
          const { content, path: told, label } = rowOf(table, read[row]);
          if (label === undefined || label < 0) continue;
          const number = before + row;
          const place = {
            cursor: "",
            bytesRead: Math.round((file.bytes * (number + 1)) / total),
            at: { file: 0, group, row: row + 1 },
          };
          const why =
            content === undefined
              ? "has no picture"
              : content.length > MAX_SAMPLE_BYTES
                ? `has ${content.length} bytes; at most ${MAX_SAMPLE_BYTES} are read`
                : undefined;
          if (content === undefined || why !== undefined)
            yield { reject: { source: `${name}#${number}`, why: why as string }, ...place };
          else
            yield {
              sample: {
                name: (!repeated && told) || `${name}#${number}`,
                label: labels[label],
                content: new Uint8Array(content),
              },
              ...place,
            };
        }
      }
      before += rows;
    }
  } finally {
    await file.close();
  }
}

interface Reading {
  readonly labels: readonly number[];
  /** Paths name no sample: two are one. */
  readonly repeated: boolean;
  /** Of large files: checked once a file has been read. */
  readonly sums: ReadonlyMap<string, KnownSum>;
  readonly options: LayoutOptions;
}

async function openSplit(
  source: Listing,
  paths: readonly string[],
  samples: number,
  { labels, repeated, sums, options }: Reading,
): Promise<SourceSplit> {
  const sizes = await Promise.all(paths.map((path) => source.bytes(path)));
  return {
    samples,
    bytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
    read: async function* (cursor?: Cursor): AsyncGenerator<Item> {
      const [first, group, row] = cursor === undefined ? [0, 0, 0] : (JSON.parse(cursor) as number[]);
      for (let file = first; file < paths.length; file++) {
        const before = sizes.slice(0, file).reduce((sum, bytes) => sum + bytes, 0);
        const from = file === first && cursor !== undefined ? { file, group, row } : undefined;
        for await (const { at, ...item } of readFile(source.absolute(paths[file]), options, labels, repeated, from)) {
          yield {
            ...item,
            cursor: JSON.stringify([file, at.group, at.row]),
            bytesRead: before + item.bytesRead,
          } as Item;
        }
        const sum = sums.get(paths[file]);
        if (sum !== undefined) await checkSum(source.absolute(paths[file]), sum);
      }
    },
  };
}

async function open(source: Listing, files: Files, options: LayoutOptions): Promise<OpenSource> {
  if (files.train.length === 0) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.given} has no training files, only ${some([...files.val, ...files.test])}: give the folder of all`,
    );
  }
  const known = new Sums();
  const sums = new Map<string, KnownSum>();
  for (const path of splitNames.flatMap((split) => files[split])) {
    const sum = await known.toCheck(source.absolute(path));
    if (sum !== undefined) sums.set(path, sum);
  }
  const census = await count(source, files, options);
  const { names } = await withFile(source.absolute(files.train[0]), (file) => tableOf(file, options));
  const { classes, labels, notices } = labelling(source.given, census, names);
  const told = [...notices, ...splitNames.flatMap((split) => missingNotice(files[split]))];
  const splits: { train?: SourceSplit; val?: SourceSplit; test?: SourceSplit } = {};
  for (const split of splitNames) {
    const { [split]: labelled } = census.labelled;
    const { [split]: without } = census.unlabelled;
    if (labelled > 0)
      splits[split] = await openSplit(source, files[split], labelled, {
        labels,
        repeated: census.repeated,
        sums,
        options,
      });
    else if (files[split].length > 0) told.push(`passed over: ${some(files[split])}, whose pictures have no labels`);
    if (labelled > 0 && without > 0)
      told.push(`passed over: ${without} rows of the ${split} split, which have no label`);
  }
  const { train, ...others } = splits;
  if (train === undefined)
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.given}: no row of the training files has a label: is it the right data set?`,
    );
  return {
    classes,
    media: "encoded",
    splits: { train, ...others },
    notices: told,
    left: boundedLeft((await source.folder("")).left),
  };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const paths = await parquetFiles(source);
  if (paths.length === 0) return undefined;
  const of = (split: SplitName) => paths.filter((path) => splitOf(path) === split);
  const files = { train: of("train"), val: of("val"), test: of("test") };
  const first = [...files.train, ...paths][0];
  // A file that cannot be opened is told when it is read: it is Parquet by its name.
  const fits = await withFile(source.absolute(first), hasTable).catch(() => true);
  if (!fits) return undefined;
  return {
    strength: 3,
    why: `there are Parquet files, ${some([...files.train, ...files.val, ...files.test])}`,
    open: (options) => open(source, files, options),
  };
}

export const huggingface: Layout = {
  kind: "huggingface",
  title: "Hugging Face's Parquet",
  files: "data/{train,validation}-NNNNN-of-MMMMM.parquet with columns image and label",
  recognise,
};

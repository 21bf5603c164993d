// WebDataset shards: tars of KEY.jpg, KEY.cls and maybe KEY.json. `.cls` counts classes in its writer's order, so
// labels go by WordNet ids wherever these are told.

import { basename } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { openBytes } from "../formats/byte-reader.ts";
import { TarReader } from "../formats/tar.ts";
import { type Archive, type ArchiveReader, archiveSplit, openArchives } from "./archive-split.ts";
import { joinPath, some } from "./class-folders.ts";
import type { Layout, LayoutOptions, OpenSource, Recognition, SourceClass, SourceSplit } from "./layout.ts";
import { boundedLeft } from "./left.ts";
import type { Listing } from "./listing.ts";
import { missingNotice } from "./numbered.ts";
import { Sums } from "./sums.ts";
import { type Group, groupName, groupsOf, keyOf } from "./webdataset-sample.ts";
import { classesOf, namesBeside, requireClasses } from "./wordnet.ts";

const splitNames = ["train", "val", "test"] as const;
type SplitName = (typeof splitNames)[number];
/** Members of a shard that are looked at to recognise it. */
const LOOKED_AT = 12;
/** Shards that are looked at. */
const FIRST = 4;

const isShard = (name: string) =>
  /\.(tar|tar\.gz|tgz)$/i.test(name) && !/^(ILSVRC2012_|n\d{8}\.tar|\w+_images(_\d+)?\.t)/i.test(name);

/** Of a shard, by its name and those of the folders that it is in. */
function splitOf(path: string): SplitName {
  const word = (pattern: string) => new RegExp(`(^|[^a-z])(${pattern})([^a-z]|$)`, "i").test(path);
  if (word("val|valid|validation|eval")) return "val";
  return word("test|testing") ? "test" : "train";
}

type Shards = Readonly<Record<SplitName, readonly string[]>>;

async function find(source: Listing): Promise<Shards | undefined> {
  const { files, folders } = await source.folder("");
  const paths = files.filter(isShard);
  if (paths.length === 0) {
    for (const folder of folders.filter((name) => /^(data|shards|train(ing)?|val(id|idation)?|test)$/i.test(name))) {
      paths.push(...(await source.folder(folder)).files.filter(isShard).map((name) => joinPath(folder, name)));
    }
  }
  if (paths.length === 0) return undefined;
  const of = (split: SplitName) => paths.filter((path) => splitOf(path) === split);
  return { train: of("train"), val: of("val"), test: of("test") };
}

/** Whether pictures lie beside classes of the same key at the beginning of a shard. */
async function isWebdataset(file: string): Promise<boolean> {
  const reader = await openBytes(file, { block: 2 ** 12 }).catch(() => undefined);
  if (reader === undefined) return false;
  try {
    const tar = new TarReader(reader);
    const keys = new Map<string, number>();
    for (let i = 0; i < LOOKED_AT; i++) {
      const member = await tar.next();
      if (member === undefined) break;
      const [key, extension] = keyOf(member.name);
      if (/(^|\.)(cls|json|jpe?g|png|webp)$/.test(extension)) keys.set(key, (keys.get(key) ?? 0) + 1);
    }
    return [...keys.values()].some((count) => count > 1);
  } catch {
    return false;
  } finally {
    await reader.close();
  }
}

/** What the shards say of their classes. */
interface Census {
  /** WordNet ids by number; two of one number where its writer did not keep them apart. */
  readonly idsOf: Map<number, Set<string>>;
  readonly ids: Set<string>;
  /** Samples by split, and how many have neither number nor id, or a number alone. */
  readonly samples: Record<SplitName, number>;
  readonly unlabelled: Record<SplitName, number>;
  numbersAlone: number;
  /** Keys begin anew in some shard: alone they would name several samples. */
  repeated: boolean;
}

async function count(
  archives: Readonly<Record<SplitName, readonly Archive[]>>,
  tell?: (what: string) => void,
): Promise<Census> {
  const none = () => ({ train: 0, val: 0, test: 0 });
  const census: Census = {
    idsOf: new Map(),
    ids: new Set(),
    samples: none(),
    unlabelled: none(),
    numbersAlone: 0,
    repeated: false,
  };
  for (const split of splitNames) {
    const first = new Set<string>();
    for (const [at, { file }] of archives[split].entries()) {
      if (at % 16 === 0) tell?.(`looking for the classes of ${basename(file)}, ${at + 1} of ${archives[split].length}`);
      const reader = await openBytes(file, { block: 2 ** 12 });
      try {
        let begun = false;
        for await (const group of groupsOf(new TarReader(reader), false)) {
          if (!begun) census.repeated ||= first.has(group.key);
          if (!begun) first.add(group.key);
          begun = true;
          note(census, split, group);
        }
      } finally {
        await reader.close();
      }
    }
  }
  return census;
}

function note(census: Census, split: SplitName, { cls, wnid }: Group): void {
  census.samples[split]++;
  if (wnid !== undefined) census.ids.add(wnid);
  if (cls !== undefined) {
    const ids = census.idsOf.get(cls) ?? new Set();
    if (wnid !== undefined) ids.add(wnid);
    census.idsOf.set(cls, ids);
  }
  if (cls === undefined && wnid === undefined) census.unlabelled[split]++;
  if (cls !== undefined && wnid === undefined) census.numbersAlone++;
}

interface Labelling {
  readonly classes: readonly SourceClass[];
  readonly labelOf: (group: Group) => number | string;
  readonly notices: readonly string[];
}

const noClass = "it has neither a .cls nor a WordNet id in its key or .json";

/** Numbers alone: their writer's order is all that there is. */
function byNumber({ idsOf }: Census, where: string): Labelling {
  const most = idsOf.size === 0 ? 0 : Math.max(...idsOf.keys()) + 1;
  requireClasses(most, where);
  return {
    classes: Array.from({ length: most }, (_, i) => ({ name: String(i) })),
    labelOf: ({ cls }) => cls ?? noClass,
    notices: [
      `classes are the numbers of .cls, 0 to ${most - 1}, in the order of who wrote them: no WordNet ids are told`,
    ],
  };
}

function byId(census: Census, names: ReadonlyMap<string, string>, where: string): Labelling {
  const { idsOf, ids, numbersAlone } = census;
  const sorted = [...ids].sort();
  const labels = new Map(sorted.map((id, label) => [id, label]));
  const nameless = [...idsOf].filter(([, some]) => some.size === 0).map(([number]) => String(number));
  if (nameless.length > 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${where}: classes ${some(nameless)} of .cls are of pictures without WordNet ids, while others have them: their order cannot be known; name pictures by their ids (n01440764_1.jpg), or none`,
    );
  }
  requireClasses(sorted.length, where);
  const other = [...idsOf].filter(([number, some]) => [...some].some((id) => labels.get(id) !== number));
  const notices: string[] = [];
  if (other.length > 0) {
    notices.push(
      `the numbers of .cls are in the order of who wrote them, ${other.length} of ${idsOf.size} unlike that of published models: labels go by WordNet ids`,
    );
  }
  if (numbersAlone > 0)
    notices.push(`${numbersAlone} pictures have no WordNet id; theirs is known by the number of .cls`);
  const labelOf = ({ cls, wnid }: Group) => {
    if (wnid !== undefined) return labels.get(wnid) as number;
    if (cls === undefined) return noClass;
    const [id, second] = idsOf.get(cls) ?? [];
    return second === undefined
      ? (labels.get(id) as number)
      : `its .cls is ${cls}, which is ${id} and ${second} elsewhere`;
  };
  return { classes: classesOf(sorted, names), labelOf, notices };
}

/** @param repeated keys name a sample only together with its shard */
function shardReader(labelOf: Labelling["labelOf"], repeated: boolean): ArchiveReader {
  return async function* (reader) {
    const shard = basename(reader.path);
    for await (const group of groupsOf(new TarReader(reader), true)) {
      const next = [group.next];
      const { content } = group;
      const label = group.why ?? (group.picture ? labelOf(group) : "there is no picture beside it");
      if (typeof label === "string" || content === undefined) {
        yield { reject: { source: `${shard}: ${groupName(group)}`, why: String(label) }, next };
      } else yield { sample: { name: repeated ? `${shard}/${group.key}` : group.key, label, content }, next };
    }
  };
}

async function open(source: Listing, shards: Shards, { tell }: LayoutOptions): Promise<OpenSource> {
  if (shards.train.length === 0) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.given} has no training shards, only ${some([...shards.val, ...shards.test])}: give the folder of all`,
    );
  }
  const sums = new Sums();
  const opened = (split: SplitName) =>
    openArchives(
      shards[split].map((path) => source.absolute(path)),
      sums,
    );
  const archives = { train: await opened("train"), val: await opened("val"), test: await opened("test") };
  const census = await count(archives, tell);
  const names = await namesBeside(source, [""]);
  const { classes, labelOf, notices } =
    census.ids.size === 0 ? byNumber(census, source.given) : byId(census, names, source.given);
  const read = shardReader(labelOf, census.repeated);
  const split = (name: SplitName): SourceSplit => archiveSplit(archives[name], read, census.samples[name]);
  const told = [...notices, ...splitNames.flatMap((name) => missingNotice(shards[name]))];
  const splits: { train: SourceSplit; val?: SourceSplit; test?: SourceSplit } = { train: split("train") };
  for (const name of ["val", "test"] as const) {
    if (archives[name].length === 0) continue;
    if (census.unlabelled[name] === census.samples[name])
      told.push(`passed over: ${some(shards[name])}, whose pictures have no labels`);
    else splits[name] = split(name);
  }
  return { classes, media: "encoded", splits, notices: told, left: boundedLeft((await source.folder("")).left) };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const shards = await find(source);
  if (shards === undefined) return undefined;
  const all = splitNames.flatMap((split) => shards[split]);
  // The first may be the one that is damaged.
  const looks = await Promise.all(all.slice(0, FIRST).map((path) => isWebdataset(source.absolute(path))));
  if (!looks.includes(true)) return undefined;
  return {
    strength: 3,
    why: `in ${some(all)} pictures lie beside files of the same key`,
    open: (options) => open(source, shards, options),
  };
}

export const webdataset: Layout = {
  kind: "webdataset",
  title: "WebDataset shards",
  files: "NAME-train-{0000..1023}.tar and NAME-validation-{00..63}.tar of KEY.jpg, KEY.cls and maybe KEY.json",
  recognise,
};

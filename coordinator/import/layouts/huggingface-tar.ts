// The older archives of Hugging Face's imagenet-1k: train_images_N.tar.gz and val_images.tar.gz, flat, with the WordNet
// id of a picture at the end of its name.

import { basename } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { type Archive, archiveSplit, flatTar, memberName, openArchives, scanTar } from "./archive-split.ts";
import { joinPath, some } from "./class-folders.ts";
import { isImageName } from "./folder-split.ts";
import type { Layout, LayoutOptions, OpenSource, Recognition } from "./layout.ts";
import { boundedLeft } from "./left.ts";
import type { Listing } from "./listing.ts";
import { missingNotice } from "./numbered.ts";
import { Sums } from "./sums.ts";
import { MAX_CLASS_NAME, MOST_CLASSES, readText, requireClasses, wnidAtEnd } from "./wordnet.ts";

/** Classes of the whole set: where val has that many, it has all of them. */
const WHOLE = 1000;
/** Where Hugging Face's repository has the names of the classes. */
const NAMES = "classes.py";

interface Found {
  readonly base: string;
  readonly train: readonly string[];
  readonly val: readonly string[];
  readonly test: readonly string[];
}

const isTar = (split: string) => new RegExp(`^${split}_images(_\\d+)?\\.(tar\\.gz|tgz|tar)$`, "i");

async function look(source: Listing, base: string): Promise<Found | undefined> {
  const { files } = await source.folder(base);
  const of = (split: string) => files.filter((name) => isTar(split).test(name)).map((name) => joinPath(base, name));
  const found = { base, train: of("train"), val: [...of("val"), ...of("validation")], test: of("test") };
  return found.train.length > 0 ? found : undefined;
}

/** Ids of the pictures of archives; a packed archive is unpacked for that. */
async function idsIn(archives: readonly Archive[], ids: Set<string>, tell?: (what: string) => void): Promise<number> {
  let pictures = 0;
  for (const { file } of archives) {
    tell?.(`looking for the classes of ${basename(file)}`);
    await scanTar(file, ({ name, kind }) => {
      if (kind !== "file" || !isImageName(name)) return;
      pictures++;
      const id = wnidAtEnd(memberName(name));
      if (id !== undefined) ids.add(id);
      if (ids.size > MOST_CLASSES) requireClasses(ids.size, file);
    });
  }
  return pictures;
}

/** Names of classes by id, as the dictionary of the repository's program has them. */
async function namesIn(source: Listing, base: string): Promise<ReadonlyMap<string, string>> {
  const parent = base.includes("/") ? base.slice(0, base.lastIndexOf("/")) : "";
  for (const folder of [base, parent]) {
    if (!(await source.folder(folder)).files.includes(NAMES)) continue;
    const text = await readText(source, joinPath(folder, NAMES));
    const pairs = [...text.matchAll(/["'](n\d{8})["']\s*:\s*(?:"([^"\n]*)"|'([^'\n]*)')/g)];
    return new Map(pairs.map(([, id, one, other]) => [id, (one ?? other).slice(0, MAX_CLASS_NAME)]));
  }
  return new Map();
}

async function open(source: Listing, { base, train, val, test }: Found, { tell }: LayoutOptions): Promise<OpenSource> {
  const sums = new Sums();
  const trainArchives = await openArchives(
    train.map((one) => source.absolute(one)),
    sums,
  );
  const valArchives = await openArchives(
    val.map((one) => source.absolute(one)),
    sums,
  );
  const ids = new Set<string>();
  const valSamples = await idsIn(valArchives, ids, tell);
  // The classes of the validation pictures are those of all; of a subset they may be fewer.
  const trainSamples = ids.size === WHOLE ? undefined : await idsIn(trainArchives, ids, tell);
  requireClasses(ids.size, source.absolute(base));
  const sorted = [...ids].sort();
  const labels = new Map(sorted.map((id, label) => [id, label]));
  const labelOf = (name: string) => {
    const id = wnidAtEnd(name);
    if (id === undefined) return "its name does not end in _WNID, as n01440764_10026_n01440764.JPEG does";
    const label = labels.get(id);
    if (label !== undefined) return label;
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.absolute(base)}: ${name} is of a class that no validation picture has: the archives are of different data sets`,
    );
  };
  const names = await namesIn(source, base);
  const notices = test.length > 0 ? [`passed over: ${some(test)}, whose pictures have no labels`] : [];
  notices.push(...missingNotice(train));
  if (val.length === 0) notices.push("there are no validation pictures (val_images.tar.gz is not there)");
  return {
    classes: sorted.map((id) => ({ id, name: names.get(id) ?? id })),
    media: "encoded",
    splits: {
      train: archiveSplit(trainArchives, flatTar(labelOf), trainSamples),
      val: val.length > 0 ? archiveSplit(valArchives, flatTar(labelOf), valSamples) : undefined,
    },
    notices,
    left: boundedLeft((await source.folder(base)).left),
  };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const found = (await look(source, "")) ?? (await look(source, "data"));
  if (found === undefined) return undefined;
  const { train, val } = found;
  return {
    strength: 3,
    why: `there ${train.length + val.length === 1 ? "is" : "are"} ${some([...train, ...val])}`,
    open: (options) => open(source, found, options),
  };
}

export const huggingfaceTar: Layout = {
  kind: "huggingface-tar",
  title: "Hugging Face's older tars of imagenet-1k",
  files: "data/train_images_{0..4}.tar.gz and data/val_images.tar.gz",
  recognise,
};

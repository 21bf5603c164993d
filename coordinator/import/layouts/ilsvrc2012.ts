// ILSVRC2012 as image-net.org gives it: a tar of a tar for each class, a flat tar of validation pictures, and the
// devkit that says what these are; also with the tars unpacked by one or both levels.

import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import { TarReader } from "../formats/tar.ts";
import {
  type ArchiveReader,
  archiveSplit,
  flatTar,
  memberName,
  openArchives,
  picturesOf,
  scanTar,
  unexpectedMember,
} from "./archive-split.ts";
import { joinPath, type Labels, openClassFolders, openTabled, some, type Told } from "./class-folders.ts";
import { DEVKIT, type Devkit, readDevkit, readUnpackedDevkit } from "./devkit.ts";
import { isImageName } from "./folder-split.ts";
import type { Layout, LayoutOptions, OpenSource, Recognition, SourceSplit } from "./layout.ts";
import { boundedLeft, type Left } from "./left.ts";
import type { Listing } from "./listing.ts";
import { classesOf, isWnid, namesBeside, requireClasses, sortedSet, wnidAtStart } from "./wordnet.ts";

const TRAIN = "ILSVRC2012_img_train.tar";
const VAL = "ILSVRC2012_img_val.tar";
/** Training pictures in the published tar. */
const PUBLISHED_BYTES = 147_897_477_120;
const PUBLISHED_SAMPLES = 1_281_167;
/** Inner folders of which one may be the data set's own. */
const FEW = 8;

const numberIn = (name: string) => /^ILSVRC2012_val_(\d{8})\.jpe?g$/i.exec(path.posix.basename(name))?.[1];
const tarWnid = (name: string) => /^(n\d{8})\.tar$/i.exec(path.posix.basename(name))?.[1].toLowerCase();

/** How the training or validation pictures lie. */
type Lie =
  | { readonly lie: "tar"; readonly at: string }
  | { readonly lie: "class-tars" | "class-folders" | "flat"; readonly at: string };

interface Found {
  readonly base: string;
  readonly train?: Lie;
  readonly val?: Lie;
  /** The packed file, or the folder with meta.mat. */
  readonly devkit?: { readonly at: string; readonly packed: boolean };
}

async function lieOf(source: Listing, folder: string): Promise<Lie | undefined> {
  const { files, folders } = await source.folder(folder);
  if (folders.some(isWnid)) return { lie: "class-folders", at: folder };
  if (files.some((name) => tarWnid(name) !== undefined)) return { lie: "class-tars", at: folder };
  return files.some((name) => numberIn(name) !== undefined) ? { lie: "flat", at: folder } : undefined;
}

async function devkitIn(source: Listing, base: string): Promise<Found["devkit"]> {
  const { files, folders } = await source.folder(base);
  const packed = files.find((name) => /^ILSVRC2012_devkit_t12\.(tar\.gz|tgz|tar)$/i.test(name));
  if (packed !== undefined) return { at: joinPath(base, packed), packed: true };
  for (const name of ["", ...folders.filter((folder) => /devkit|^data$/i.test(folder))]) {
    for (const at of [joinPath(base, name), joinPath(base, name, "data")]) {
      if ((await source.folder(at)).files.includes("meta.mat")) return { at, packed: false };
    }
  }
  return undefined;
}

async function partsIn(source: Listing, base: string): Promise<Found> {
  const { files, folders } = await source.folder(base);
  // What Kaggle gives has its own labels beside it.
  if (files.some((name) => /^LOC_(synset_mapping\.txt|val_solution\.csv)$/.test(name))) return { base };
  if (path.basename(source.absolute(base)) === "CLS-LOC") return { base };
  const tar = (wanted: string): Lie | undefined => {
    const name = files.find((one) => one.toLowerCase() === wanted.toLowerCase());
    return name === undefined ? undefined : { lie: "tar", at: joinPath(base, name) };
  };
  const folder = async (pattern: RegExp) => {
    const name = folders.find((one) => pattern.test(one));
    return name === undefined ? undefined : lieOf(source, joinPath(base, name));
  };
  const here = await lieOf(source, base);
  const train =
    tar(TRAIN) ?? (await folder(/^(train|ILSVRC2012_img_train)$/i)) ?? (here?.lie === "class-tars" ? here : undefined);
  const val = tar(VAL) ?? (await folder(/^(val|ILSVRC2012_img_val)$/i));
  return { base, train, val, devkit: await devkitIn(source, base) };
}

/** Whether what was found is ILSVRC2012, and not just folders of pictures. */
function isOwn({ train, val, devkit }: Found): boolean {
  const tars = train?.lie === "tar" || train?.lie === "class-tars" || val?.lie === "tar";
  return tars || (train?.lie === "class-folders" && (devkit !== undefined || val?.lie === "flat"));
}

/** In the source or one of its folders; or in several, as torrents give each archive a folder of its own. */
async function find(source: Listing): Promise<Found | undefined> {
  const { folders } = await source.folder("");
  const bases = ["", ...(folders.length <= FEW ? folders : [])];
  const found = await Promise.all(bases.map((base) => partsIn(source, base)));
  const whole = found.find((one) => isOwn(one) && one.train !== undefined && one.val !== undefined);
  if (whole?.devkit !== undefined || whole?.val?.lie === "class-folders") return whole;
  const first = <K extends "train" | "val" | "devkit">(part: K) => found.find((one) => one[part] !== undefined)?.[part];
  const gathered: Found = {
    base: whole?.base ?? found.find(isOwn)?.base ?? "",
    train: whole?.train ?? first("train"),
    val: whole?.val ?? first("val"),
    devkit: first("devkit"),
  };
  return isOwn(gathered) ? gathered : undefined;
}

/** The class tars in a tar: read one inside the other, in the order that they lie in. */
function nestedTar(labels: Labels): ArchiveReader {
  return async function* (reader, from) {
    const outer = new TarReader(reader);
    let inner = from?.[1];
    for (let member = await outer.next(); member !== undefined; member = await outer.next()) {
      const id = tarWnid(member.name);
      if (id === undefined) continue;
      const title = `${path.basename(reader.path)}: ${printable(member.name)}`;
      if (inner !== undefined) await reader.skip(inner - reader.offset);
      inner = undefined;
      const tar = new TarReader(reader, {
        title: `${reader.path}: ${printable(member.name)}`,
        end: member.content + member.bytes,
      });
      for await (const found of picturesOf(tar, title, classOf(id, labels))) {
        const { member: picture, ...rest } = found;
        yield { ...rest, next: [member.header, picture.next] };
      }
    }
  };
}

/** The class of a picture in the tar of a class: its name says the same, or it lies in the wrong one. */
function classOf(id: string, labels: Labels): (name: string) => number | string {
  const label = labels.get(id) as number;
  return (name) => {
    const said = wnidAtStart(path.posix.basename(name));
    return said === undefined || said === id ? label : `its name says ${said}, and it lies in ${id}.tar`;
  };
}

/** Ids of the classes that training pictures have. */
async function trainIds(source: Listing, { lie, at }: Lie): Promise<string[]> {
  if (lie === "class-folders") return sortedSet((await source.folder(at)).folders.filter(isWnid));
  if (lie === "class-tars") return sortedSet((await source.folder(at)).files.flatMap((name) => tarWnid(name) ?? []));
  const file = source.absolute(at);
  const ids: string[] = [];
  await scanTar(file, (member) => {
    const id = member.kind === "file" ? tarWnid(member.name) : undefined;
    if (id === undefined) throw unexpectedMember(file, member, "a tar for each class, WNID.tar");
    if (ids.includes(id)) throw unexpectedMember(file, member, `one tar for each class, and ${id} stands twice`);
    ids.push(id);
  });
  return sortedSet(ids);
}

async function openTrain(source: Listing, { lie, at }: Lie, labels: Labels, told: Told): Promise<SourceSplit> {
  if (lie === "class-folders") return openClassFolders(source, at, labels, "training", told);
  if (lie === "class-tars") {
    const { files } = await source.folder(at);
    const tars = files.filter((name) => tarWnid(name) !== undefined);
    const archives = await openArchives(tars.map((name) => source.absolute(joinPath(at, name))));
    return archiveSplit(archives, (reader, from) => {
      const id = tarWnid(path.basename(reader.path)) as string;
      return flatTar(classOf(id, labels))(reader, from);
    });
  }
  const [archive] = await openArchives([source.absolute(at)]);
  const samples = archive.bytes === PUBLISHED_BYTES ? PUBLISHED_SAMPLES : undefined;
  return archiveSplit([archive], nestedTar(labels), samples);
}

/** The label of a flat validation picture: its number is the line of the ground truth. */
function truthLabel(name: string, { truth }: Devkit): number | string {
  const number = numberIn(name);
  if (number === undefined) return "its name is not ILSVRC2012_val_NNNNNNNN.JPEG, so its label is not known";
  return truth[Number(number) - 1] ?? `number ${number} is beyond the ground truth's ${truth.length} lines`;
}

/** Every line of the ground truth has its picture, and every picture its line, once. */
function requireEach(where: string, names: readonly string[], { truth }: Devkit): void {
  const seen = new Set<number>();
  for (const name of names) {
    const digits = numberIn(name);
    if (digits === undefined) continue;
    const number = Number(digits);
    const range = `the ground truth has 1 to ${truth.length}`;
    const why = number < 1 || number > truth.length ? range : seen.has(number) ? "that number stands twice" : undefined;
    if (why !== undefined)
      throw new BitswarmError(
        "DATA_INVALID",
        `${where}: ${printable(name)}: ${why}; is it of the same year as the devkit?`,
      );
    seen.add(number);
  }
  if (seen.size === truth.length) return;
  const missing = truth.findIndex((_, i) => !seen.has(i + 1)) + 1;
  throw new BitswarmError(
    "DATA_INVALID",
    `${where} has ${seen.size} pictures, the devkit's ground truth ${truth.length} lines (number ${missing} is missing): get the pictures again, all of them`,
  );
}

async function openVal(
  source: Listing,
  { lie, at }: Lie,
  labels: Labels,
  devkit: Devkit | undefined,
  told: Told,
): Promise<SourceSplit> {
  if (lie === "class-folders") return openClassFolders(source, at, labels, "validation", told);
  if (devkit === undefined) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.absolute(at)} does not say which class a picture is of: put ${DEVKIT} beside it (from image-net.org, as the pictures), or sort the pictures into folders named by WordNet ids`,
    );
  }
  if (lie === "flat") {
    const { files } = await source.folder(at);
    requireEach(source.absolute(at), files, devkit);
    const table = files.flatMap((name): [string, number][] => {
      const label = truthLabel(name, devkit);
      return typeof label === "number" ? [[name, label]] : [];
    });
    return openTabled(source, at, new Map(table), "the devkit", told);
  }
  const names: string[] = [];
  const [archive] = await openArchives([source.absolute(at)]);
  await scanTar(archive.file, ({ name }) => {
    if (isImageName(name)) names.push(memberName(name));
  });
  requireEach(archive.file, names, devkit);
  return archiveSplit(
    [archive],
    flatTar((name) => truthLabel(name, devkit)),
    names.length,
  );
}

async function open(source: Listing, found: Found, options: LayoutOptions): Promise<OpenSource> {
  const { base, train, val } = found;
  if (train === undefined) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.absolute(base)} has no training pictures: put ${TRAIN} beside ${path.basename(val?.at ?? VAL)} (from image-net.org)`,
    );
  }
  const devkit = await (found.devkit &&
    (found.devkit.packed ? readDevkit : readUnpackedDevkit)(source.absolute(found.devkit.at)));
  const notices: string[] = [];
  const left: Left[] = [];
  const told: Told = { notices, left, tell: options.tell };
  const ids = await trainIds(source, train);
  const classes = devkit?.classes ?? classesOf(ids, await namesBeside(source, [base, ""]));
  requireClasses(classes.length, source.absolute(train.at));
  const labels = new Map(classes.map(({ id }, label) => [id as string, label]));
  const unknown = ids.filter((id) => !labels.has(id));
  if (unknown.length > 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.absolute(train.at)} has classes that the devkit lacks, ${some(unknown)}: are both of ILSVRC2012?`,
    );
  }
  const absent = [...labels.keys()].filter((id) => !ids.includes(id));
  if (absent.length > 0 && train.lie !== "class-folders") {
    notices.push(`${absent.length} of the devkit's ${labels.size} classes have no training pictures: ${some(absent)}`);
  }
  if (val === undefined) {
    const single = source.single === undefined ? `${VAL} is not there` : "only this file was given, not its folder";
    notices.push(`there are no validation pictures (${single})`);
  }
  const splits = {
    train: await openTrain(source, train, labels, told),
    val: val && (await openVal(source, val, labels, devkit, told)),
  };
  return { classes, media: "encoded", splits, notices, left: boundedLeft(left) };
}

const lies = {
  tar: "",
  "class-tars": ", a folder of class tars",
  "class-folders": ", folders named by WordNet ids",
  flat: ", pictures with numbers",
} as const;

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const found = await find(source);
  if (found === undefined) return undefined;
  const { train, val, devkit } = found;
  const seen = [train && `${train.at}${lies[train.lie]}`, val && `${val.at}${lies[val.lie]}`, devkit?.at || undefined];
  return {
    strength: 3,
    why: `there are ${seen.filter((one) => one !== undefined).join("; ")}`,
    open: (options) => open(source, found, options),
  };
}

export const ilsvrc2012: Layout = {
  kind: "ilsvrc2012",
  title: "ILSVRC2012",
  files: `${TRAIN}, ${VAL} and ${DEVKIT}`,
  recognise,
};

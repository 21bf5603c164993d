// ILSVRC as Kaggle gives it: ILSVRC/Data/CLS-LOC with train and val, and beside ILSVRC the names of the classes and the
// labels of the validation pictures.

import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { joinPath, type Labels, openClassFolders, openTabled, some, type Told } from "./class-folders.ts";
import { isImageName } from "./folder-split.ts";
import type { Layout, LayoutOptions, OpenSource, Recognition, SourceSplit } from "./layout.ts";
import { boundedLeft } from "./left.ts";
import { Listing } from "./listing.ts";
import { isWnid, linesOf, MAX_CLASS_NAME, readTextAt, requireClasses } from "./wordnet.ts";

const MAPPING = "LOC_synset_mapping.txt";
const SOLUTION = "LOC_val_solution.csv";
const INNER = "ILSVRC/Data/CLS-LOC";
/** Folders above CLS-LOC in which the tables are looked for: Kaggle's archive has them three above. */
const ABOVE = 3;
/** Inner folders of which one may be the data set's own. */
const FEW = 8;

interface Found {
  readonly source: Listing;
  /** CLS-LOC. */
  readonly base: string;
  /** Whole paths. */
  readonly mapping?: string;
  readonly solution?: string;
}

/** A table by its name in the folder of the pictures or above it: the source may be one of the inner folders. */
async function tableOf(source: Listing, base: string, name: string): Promise<string | undefined> {
  let folder = source.absolute(base);
  for (let up = 0; up <= ABOVE; up++) {
    const file = path.join(folder, name);
    const there = await readTextAt(file).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code !== "ENOENT" && error.code !== "ENOTDIR",
    );
    if (there) return file;
    folder = path.dirname(folder);
  }
  return undefined;
}

async function look(source: Listing, base: string): Promise<Found | undefined> {
  const { folders } = await source.folder(base);
  if (!folders.includes("train") || !(await source.folder(joinPath(base, "train"))).folders.some(isWnid))
    return undefined;
  const named = path.basename(source.absolute(base)) === "CLS-LOC";
  const mapping = await tableOf(source, base, MAPPING);
  const solution = await tableOf(source, base, SOLUTION);
  // Subsets of ImageNet have the names of its classes too: what makes it Kaggle's is its folder or its labels.
  return named || solution !== undefined ? { source, base, mapping, solution } : undefined;
}

async function find(given: Listing): Promise<Found | undefined> {
  if (given.single !== undefined) return undefined;
  const inCls = path.basename(path.dirname(given.root)) === "CLS-LOC";
  const source =
    inCls && /^(train|val|test)$/.test(path.basename(given.root)) ? await Listing.of(path.dirname(given.root)) : given;
  const parts = INNER.split("/");
  const bases = ["", ...parts.map((_, i) => parts.slice(i).join("/"))];
  for (const base of bases) {
    const found = await look(source, base);
    if (found !== undefined) return found;
  }
  const { folders } = await source.folder("");
  for (const folder of folders.length <= FEW ? folders : []) {
    const found = await look(source, joinPath(folder, INNER));
    if (found !== undefined) return found;
  }
  return undefined;
}

function invalid(file: string, line: number, text: string, expected: string): BitswarmError {
  return new BitswarmError(
    "DATA_INVALID",
    `${file}: line ${line} is ${JSON.stringify(text.slice(0, 60))}; expected ${expected}: get it again from Kaggle`,
  );
}

/** Names of classes by their ids, in the order of the ids. */
async function classesIn(file: string) {
  const names = new Map<string, string>();
  for (const [at, line] of linesOf(await readTextAt(file)).entries()) {
    const [, id, name] = /^(n\d{8})\s+(.+?)\s*$/.exec(line) ?? [];
    if (id === undefined || names.has(id))
      throw invalid(file, at + 1, line, "a WordNet id that is not yet there, and its name");
    names.set(id, name.slice(0, MAX_CLASS_NAME));
  }
  return [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, name]) => ({ id, name }));
}

/** Labels of the validation pictures by the names of their files: the first id of a line counts, all are the same. */
async function solutionIn(
  file: string,
  labels: Labels,
  pictures: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const byStem = new Map(pictures.map((name) => [name.replace(/\.[^.]*$/, ""), name]));
  const table = new Map<string, number>();
  for (const [at, line] of linesOf(await readTextAt(file)).entries()) {
    if (at === 0 && /^ImageId,/i.test(line)) continue;
    const [, stem, id] = /^"?([\w.-]{1,100})"?,\s*"?\s*(n\d{8})\b/.exec(line) ?? [];
    const label = id === undefined ? undefined : labels.get(id);
    if (label === undefined) {
      throw invalid(
        file,
        at + 1,
        line,
        id === undefined ? "ImageId,WNID x y x y" : "an id of the training set's classes",
      );
    }
    const name = byStem.get(stem) ?? `${stem}.JPEG`;
    if (table.has(name)) throw invalid(file, at + 1, line, "an ImageId that is not yet there");
    table.set(name, label);
  }
  return table;
}

async function openVal(found: Found, labels: Labels, told: Told): Promise<SourceSplit | undefined> {
  const { source, base, solution } = found;
  const at = joinPath(base, "val");
  const { files, folders } = await source.folder(at);
  if (folders.some(isWnid)) return openClassFolders(source, at, labels, "validation", told);
  const pictures = files.filter(isImageName);
  if (pictures.length === 0) {
    told.notices.push(`there are no validation pictures in ${source.absolute(at)}`);
    return undefined;
  }
  if (solution === undefined) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.absolute(at)} does not say which class a picture is of: put Kaggle's ${SOLUTION} beside the folder ILSVRC, or into ${source.absolute(base)}`,
    );
  }
  return openTabled(source, at, await solutionIn(solution, labels, pictures), SOLUTION, told);
}

async function open(found: Found, { tell }: LayoutOptions): Promise<OpenSource> {
  const { source, base, mapping } = found;
  const at = joinPath(base, "train");
  const { folders } = await source.folder(at);
  const classes =
    mapping === undefined ? folders.filter(isWnid).map((id) => ({ id, name: id })) : await classesIn(mapping);
  requireClasses(classes.length, mapping ?? source.absolute(at));
  const labels = new Map(classes.map(({ id }, label) => [id, label]));
  const told: Told = { notices: [], left: [], tell };
  if (mapping === undefined) told.notices.push(`${MAPPING} is not there: classes are called by their WordNet ids`);
  const train = await openClassFolders(source, at, labels, "training", told);
  const val = await openVal(found, labels, told);
  const others = (await source.folder(base)).folders.filter((name) => name !== "train" && name !== "val");
  if (others.length > 0) told.notices.push(`passed over: ${some(others)}, whose pictures have no labels`);
  return { classes, media: "encoded", splits: { train, val }, notices: told.notices, left: boundedLeft(told.left) };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const found = await find(source);
  if (found === undefined) return undefined;
  const tables = [found.mapping && MAPPING, found.solution && SOLUTION].filter((name) => name !== undefined);
  const where = path.relative(source.root, found.source.absolute(found.base)) || "it";
  return {
    strength: 3,
    why: `in ${where} are train and val of CLS-LOC${tables.length > 0 ? `, with ${tables.join(" and ")}` : ""}`,
    open: (options) => open(found, options),
  };
}

export const kaggle: Layout = {
  kind: "kaggle",
  title: "ILSVRC as Kaggle gives it",
  files: `${INNER}/{train/WNID,val}, ${MAPPING} and ${SOLUTION}`,
  recognise,
};

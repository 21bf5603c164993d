// Which layout a source has: every layout looks, the surest is taken and says why; where two are as sure as each other,
// or none is, a person is told what to do.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { didYouMean } from "../../../shared/base/nearest.ts";
import { printable } from "../../base/printable.ts";
import { fileKind, kindInWords, readHead } from "../../disk/file-kind.ts";
import { isImageName } from "./folder-split.ts";
import type { Layout, LayoutOptions, OpenSource, Recognition } from "./layout.ts";
import { layouts } from "./layouts.ts";
import { Listing } from "./listing.ts";

/** Names that a message shows of a source. */
const SHOWN = 8;

export interface RecognisedSource {
  readonly layout: Layout;
  /** "ILSVRC2012 tars (ilsvrc2012): ILSVRC2012_img_train.tar and …" */
  readonly why: string;
  /** What it could be read as, too, less surely. */
  readonly others: readonly Layout[];
  open(options?: LayoutOptions): Promise<OpenSource>;
}

const listed = (some: readonly Layout[]) => some.map(({ kind, files }) => `\n  ${kind}: ${files}`).join("");

const archive = /\.(zip|tgz|tar|tar\.\w+|7z|rar)$/i;

/** What to do about what is there, where that can be told. */
function adviceFor(files: readonly string[], folders: readonly string[] = []): string {
  if (folders.some((name) => name.startsWith("GOT-10k_"))) {
    return "; that is one list of GOT-10k: give the folder above it, with train and val";
  }
  const packed = files.find((name) => archive.test(name));
  if (packed !== undefined) return `; unpack ${printable(packed, 60)}, and give the folder with what was in it`;
  if (!files.some(isImageName)) return "";
  return "; pictures lie in it, and not in a folder for each class: give the folder above it, or sort them";
}

async function whatIsThere(source: Listing): Promise<string> {
  const { files, folders, left } = await source.folder("");
  if (source.single?.length === 1) {
    const kind = fileKind(await readHead(source.absolute(source.single[0])));
    const what = kind === undefined ? "a file of no kind that is known" : kindInWords(kind);
    return `${what}${adviceFor(kind === "image" ? [] : files)}`;
  }
  const names = [...folders.map((name) => `${name}/`), ...files].map((name) => printable(name, 60));
  const passed = left.length > 0 ? ` (passed over: ${printable(left[0].source, 60)}, ${left[0].why})` : "";
  if (names.length === 0) return `there is nothing in it${passed}`;
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "";
  const are = names.length === 1 ? "is" : "are";
  return `in it ${are} ${names.slice(0, SHOWN).join(", ")}${more}${passed}${adviceFor(files, folders)}`;
}

/** TFRecords are told by their names; nothing else has them. */
function tfRecords(names: readonly string[]): string | undefined {
  return names.find((name) => /(\.tfrecords?(-|$)|^(train|validation)-\d{5}-of-\d{5}$)/i.test(name));
}

async function refuseTfRecords(source: Listing): Promise<void> {
  const { files, folders } = await source.folder("");
  const inner = await Promise.all(folders.slice(0, SHOWN).map((folder) => source.folder(folder)));
  const found = tfRecords([...files, ...inner.flatMap((folder) => folder.files)]);
  if (found === undefined) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${source.given}: ${printable(found)} is a TFRecord, which is not read: give what it was made of, such as the folder of its pictures or ILSVRC2012's tars, or write it as WebDataset tars`,
  );
}

/**
 * The layout of a source.
 * @param given a folder, a file, or files with braces
 * @param kind the layout that a person chose
 * @throws DATA_MISSING where nothing is there, DATA_INVALID where no layout or several fit
 */
export async function recogniseSource(given: string, kind?: string): Promise<RecognisedSource> {
  const chosen = kind === undefined ? undefined : layouts.entries.find((layout) => layout.kind === kind);
  if (kind !== undefined && chosen === undefined) {
    const kinds = layouts.kinds;
    throw new BitswarmError(
      "CONFIG_INVALID",
      `there is no layout ${JSON.stringify(printable(kind))}${didYouMean(kind, kinds)}; there are:${listed(layouts.entries)}`,
    );
  }
  const source = await Listing.of(given);
  const fits: { readonly layout: Layout; readonly recognition: Recognition }[] = [];
  for (const layout of chosen ? [chosen] : layouts.entries) {
    const recognition = await layout.recognise(source);
    if (recognition !== undefined) fits.push({ layout, recognition });
  }
  if (fits.length === 0) {
    await refuseTfRecords(source);
    const which = chosen
      ? `is not of layout ${chosen.kind} (${chosen.files})`
      : "has none of the layouts that are read";
    const known = chosen ? "" : `. Give the folder of one:${listed(layouts.entries)}`;
    throw new BitswarmError("DATA_INVALID", `${given} ${which}: ${await whatIsThere(source)}${known}`);
  }
  const surest = Math.max(...fits.map(({ recognition }) => recognition.strength));
  const best = fits.filter(({ recognition }) => recognition.strength === surest);
  if (best.length > 1) {
    const which = best.map(({ layout, recognition }) => `\n  --layout ${layout.kind}: ${recognition.why}`).join("");
    throw new BitswarmError("DATA_INVALID", `${given} may be one of several layouts; choose with:${which}`);
  }
  const [{ layout, recognition }] = best;
  return {
    layout,
    why: `${layout.title} (${layout.kind}): ${recognition.why}`,
    others: fits.map((fit) => fit.layout).filter((other) => other !== layout),
    open: (options = {}) => recognition.open(options),
  };
}

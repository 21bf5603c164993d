// `bitswarm inspect` and `bitswarm verify-store`: what is in a store, and whether it is whole.

import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { bytesText } from "../../shared/base/bytes-text.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { MEDIA_CLIP } from "../../shared/data/dataset.ts";
import { printable } from "../base/printable.ts";
import { storageError } from "../disk/storage-error.ts";
import { clipSheet } from "../inspect/clip-sheet.ts";
import { type ClipViews, clipViews, type HalfView } from "../inspect/clip-views.ts";
import { contactSheet } from "../inspect/contact-sheet.ts";
import { type SampleViews, sampleViews } from "../inspect/sample-views.ts";
import { labelLines, storeJson, storeText } from "../inspect/store-facts.ts";
import { splitNamed } from "../inspect/store-samples.ts";
import { verifyStore } from "../inspect/verify-store.ts";
import { openStore } from "../store/open-store.ts";
import type { CommandTools } from "./command-tools.ts";

/** Where output goes; resolves when it was taken, so that a slow reader slows the writer. */
export type Print = (text: string) => Promise<void>;

export interface InspectOptions {
  readonly json?: boolean;
  readonly labels?: string;
  readonly sheet?: string;
  readonly sample?: number;
  readonly split: string;
  readonly epoch: number;
  readonly seed: number;
  readonly phase: string;
  readonly size: number;
}

export interface VerifyStoreOptions {
  readonly decode?: boolean;
  readonly json?: boolean;
}

const inspectHelp = `
Examples:
  $ npx coordinator inspect imagenet
      classes, splits, sizes and the hashes that name the shards
  $ npx coordinator inspect imagenet --json > store.json
      {"splits":{"train":{"samples":N},…},"classes":[{"name","id"}…],
       "converted":[{"source","why"}…],"rejected":[…]}
  $ npx coordinator inspect imagenet --labels val
      a line a sample: class index, tab, the source's name; val, validation and test all name what is held out
  $ npx coordinator inspect imagenet --sheet sheet.png
      some images of each class, as PNG
  $ npx coordinator inspect imagenet --sample 17 --epoch 3 --sheet views.png
      what a run of this seed draws of a training image from that epoch on: boxes, and the images
  $ npx coordinator inspect got10k-store --split val --sheet sheet.png
      of a store of films some crops of each, with the box of the target
`;

const verifyHelp = `
Every chunk is hashed and compared with its shard's index, the index with the shard's name, that with the manifest, and
the lists with the labels in the shards. Each damage is a line with its chunk and samples; with any, the exit code is 1.
Trust begins with the manifest, which nothing vouches for.
`;

/** Characters that are printed at once: a store has a line for each of a million samples. */
const PRINTED_AT_ONCE = 2 ** 16;

async function printAll(pieces: AsyncIterable<string>, print: Print): Promise<void> {
  let held = "";
  for await (const piece of pieces) {
    held += piece;
    if (held.length < PRINTED_AT_ONCE) continue;
    await print(held);
    held = "";
  }
  if (held !== "") await print(held);
}

async function writePng(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFile(path, bytes);
  } catch (error) {
    throw storageError(error, path, "Name another file");
  }
}

function viewsText({ split, sample, label, width, height, views }: SampleViews, className: string): string {
  const head = `${split} sample ${sample}: class ${label}, ${printable(className)}; ${width} × ${height} pixels\n`;
  const lines = views.map((view) => {
    const mirrored = `${view.flip ? ", mirrored" : ""}\n`;
    if (!("box" in view)) return `  epoch ${view.epoch}: moved by ${view.left}, ${view.top}${mirrored}`;
    const { box, size, window } = view;
    const cut = window.w === size.width && window.h === size.height ? "" : ` of ${size.width} × ${size.height}`;
    const resized = `${window.w} × ${window.h}${cut && `${cut} from (${window.x}, ${window.y})`}`;
    return `  epoch ${view.epoch}: ${box.w} × ${box.h} from (${box.x}, ${box.y}), to ${resized}${mirrored}`;
  });
  return head + lines.join("");
}

function halfText({ frame, stretch, offset: [row, column] }: HalfView): string {
  return `frame ${frame} × ${stretch.toFixed(3)} from (${column}, ${row})`;
}

function pairsText({ split, sample, label, frames, pairs }: ClipViews, className: string): string {
  const of = `${frames.length} crops of frames ${frames[0]} to ${frames.at(-1)}`;
  const head = `${split} sample ${sample}: class ${label}, ${printable(className)}; ${of}\n`;
  const lines = pairs.map(
    ({ epoch, exemplar, search }) => `  epoch ${epoch}: ${halfText(exemplar)} in ${halfText(search)}\n`,
  );
  return head + lines.join("");
}

/** @throws CONFIG_INVALID for options that exclude each other, and what reading throws */
export async function inspectCommand(where: string, options: InspectOptions, print: Print): Promise<void> {
  const { json = false, labels, sheet, sample, split, epoch, seed, phase, size } = options;
  const store = await openStore(where);
  const manifest = await store.manifest();
  if (labels !== undefined) {
    if (json || sheet !== undefined || sample !== undefined)
      throw new BitswarmError("CONFIG_INVALID", "--labels prints labels alone; leave --json, --sheet and --sample out");
    return printAll(labelLines(store, splitNamed(manifest, labels, where)), print);
  }
  const named = splitNamed(manifest, split, where);
  const clips = manifest.media === MEDIA_CLIP;
  if (sample !== undefined) {
    const of = { split: named, sample, epoch };
    if (clips) {
      const { facts, png } = await clipViews(store, manifest, of, { seed, phase });
      await print(json ? `${JSON.stringify(facts)}\n` : pairsText(facts, manifest.classes[facts.label]?.name ?? "?"));
      if (sheet !== undefined) await writePng(sheet, await png());
      return;
    }
    const { facts, png } = await sampleViews(store, manifest, of, { seed, phase, size });
    await print(json ? `${JSON.stringify(facts)}\n` : viewsText(facts, manifest.classes[facts.label]?.name ?? "?"));
    if (sheet !== undefined) await writePng(sheet, await png());
    return;
  }
  if (sheet !== undefined) await writePng(sheet, await (clips ? clipSheet : contactSheet)(store, manifest, named));
  await printAll(json ? storeJson(store, manifest) : storeText(store, manifest), print);
}

/** @returns whether all is well */
export async function verifyStoreCommand(
  where: string,
  { decode = false, json = false }: VerifyStoreOptions,
  print: Print,
  tell: (line: string) => void,
): Promise<boolean> {
  const store = await openStore(where);
  const damaged: string[] = [];
  let printed = Promise.resolve();
  const found = await verifyStore(store, {
    decode,
    onDamage: (what) => {
      if (json) damaged.push(what);
      else printed = printed.then(() => print(`damaged: ${printable(what, 1000)}\n`));
    },
    onShard: (split, done, of) => tell(`${split}: shard ${done} of ${of}`),
  });
  await printed;
  const { samples, chunks, bytes, damages } = found;
  if (json) await print(`${JSON.stringify({ ok: damages === 0, samples, chunks, bytes, damaged })}\n`);
  else {
    const read = `${samples} samples${decode ? ", each decoded," : ""} in ${chunks} chunks, ${bytesText(bytes)}`;
    await print(
      damages === 0 ? `${where} is whole: ${read}\n` : `${where} is damaged: ${damages} faults; read ${read}\n`,
    );
  }
  return damages === 0;
}

/** Adds both commands. */
export function addStoreCommands(program: Command, { wholeNumber, asPasted, tell }: CommandTools): void {
  const print: Print = (text) =>
    new Promise((resolve) => {
      process.stdout.write(text, () => resolve());
    });
  program
    .command("inspect")
    .description("say what is in a store: classes, counts, sizes, hashes; labels, and pictures of it")
    .argument("<store>", "the folder that `import` made, or s3://bucket/prefix")
    .option("--json", "print JSON")
    .option("--labels <split>", "print a split's labels and names, and nothing else")
    .option("--sheet <file>", "write a PNG: some images of each class, or with --sample what a run sees of it")
    .option("--sample <n>", "what a run draws of this one sample, from 0 on", wholeNumber(0, 2 ** 31))
    .option("--split <split>", "whose samples --sheet and --sample show", "train")
    .option("--epoch <n>", "the first epoch that --sample shows", wholeNumber(0, 2 ** 31), 0)
    .option("--seed <n>", "of the run that draws", wholeNumber(0, 0xffffffff), 0)
    .option("--phase <name>", "of that run, such as student or teacher", "student")
    .option("--size <n>", "data.size of that run", wholeNumber(1, 4096), 224)
    .addHelpText("after", asPasted(inspectHelp))
    .action((where: string, options: InspectOptions) => inspectCommand(where, options, print));
  program
    .command("verify-store")
    .description("read all of a store, and say what in it is damaged")
    .argument("<store>", "the folder that `import` made, or s3://bucket/prefix")
    .option("--decode", "decode every image, too: some 300 a second")
    .option("--json", "print JSON")
    .addHelpText("after", asPasted(verifyHelp))
    .showHelpAfterError("(see coordinator verify-store --help)")
    .action(async (where: string, options: VerifyStoreOptions) => {
      const quiet = process.stderr.isTTY ? tell : () => undefined;
      if (!(await verifyStoreCommand(where, options, print, quiet))) process.exitCode = 1;
    });
}

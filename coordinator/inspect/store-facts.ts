// What a store says of itself, for people and for programs. Lists are written as they are read: a store may have
// millions of samples.

import { bytesText } from "../../shared/base/bytes-text.ts";
import { MEDIA_CLIP, type Shard } from "../../shared/data/dataset.ts";
import { printable } from "../base/printable.ts";
import type { StoreManifest, StoreSplit } from "../store/manifest.ts";
import { storeFormat, storeSplits } from "../store/manifest.ts";
import type { StoreReader } from "../store/store-reader.ts";
import { listedSamples, oddFiles } from "./list-lines.ts";

/** Classes, odd files and shards that the text names; JSON has all. */
const NAMED_CLASSES = 20;
const NAMED_FILES = 20;
const NAMED_SHARDS = 8;

const entriesOf = ({ splits }: StoreManifest) =>
  storeSplits.flatMap((split) => {
    const entry = splits[split];
    return entry ? [[split, entry] as const] : [];
  });

/** One JSON value, in pieces. */
export async function* storeJson(store: StoreReader, manifest: StoreManifest): AsyncGenerator<string> {
  const splits = Object.fromEntries(entriesOf(manifest).map(([split, { samples }]) => [split, { samples }]));
  yield `{"splits":${JSON.stringify(splits)},"classes":${JSON.stringify(manifest.classes)}`;
  for (const which of ["converted", "rejected"] as const) {
    yield `,"${which}":[`;
    let comma = "";
    for await (const { source, why } of oddFiles(store, which)) {
      yield comma + JSON.stringify({ source, why });
      comma = ",";
    }
    yield "]";
  }
  yield "}\n";
}

/** A line a sample: class index, tab, where it came from. */
export async function* labelLines(store: StoreReader, split: StoreSplit): AsyncGenerator<string> {
  for await (const { label, name } of listedSamples(store, split)) yield `${label}\t${name}\n`;
}

async function samplesOfClasses(store: StoreReader, split: StoreSplit, classes: number): Promise<Uint32Array> {
  const counts = new Uint32Array(classes);
  for await (const { label } of listedSamples(store, split)) if (label < classes) counts[label]!++;
  return counts;
}

function sizeOf(shards: readonly Shard[]): string {
  return bytesText(shards.reduce((sum, { bytes }) => sum + bytes, 0));
}

function rangeText(counts: Uint32Array): string {
  const sorted = [...counts].sort((a, b) => a - b);
  const [least, most] = [sorted[0]!, sorted.at(-1)!];
  return least === most ? `${least} a class` : `${least} to ${most} a class`;
}

async function* oddText(store: StoreReader, which: "converted" | "rejected", count: number): AsyncGenerator<string> {
  if (count === 0) return yield `${which}: none\n`;
  yield `${which}: ${count}\n`;
  let shown = 0;
  for await (const { split, source, why } of oddFiles(store, which)) {
    if (shown++ === NAMED_FILES) break;
    yield `  ${printable(`${split}: ${source}: ${why}`)}\n`;
  }
  if (count > NAMED_FILES) yield `  and ${count - NAMED_FILES} more, which --json lists\n`;
}

function seenText({ media, shape, options }: StoreManifest): string {
  switch (media) {
    case "pixels":
      return `pixels, ${shape.w} × ${shape.h} × ${shape.c}`;
    case "image/jpeg":
      return `JPEG, shorter side ${options.short} where it was larger, quality ${options.quality}`;
    case MEDIA_CLIP:
      return `up to ${options.crops} crops of a sequence, JPEG of ${shape.w} × ${shape.h}, quality ${options.quality}`;
  }
}

export async function* storeText(store: StoreReader, manifest: StoreManifest): AsyncGenerator<string> {
  const { layout, media, options, decoder, classes, mean, std, converted, rejected } = manifest;
  const seen = seenText(manifest);
  yield `${store.where}: ${printable(layout.title)} (${printable(layout.why)})\n`;
  yield `${media === MEDIA_CLIP ? "clips" : "images"}: ${seen}; chunks of ${storeFormat(manifest).chunk}, seed ${options.seed}; decoded by ${printable(decoder)}\n`;
  yield `mean ${mean.map((v) => v.toFixed(4)).join(" ")}, deviation ${std.map((v) => v.toFixed(4)).join(" ")}\n`;
  const counts: Uint32Array[] = [];
  for (const [split, { samples, shards }] of entriesOf(manifest)) {
    const each = await samplesOfClasses(store, split, classes.length);
    counts.push(each);
    yield `${split}: ${samples} samples, ${rangeText(each)}; ${sizeOf(shards)} in ${shards.length === 1 ? "one shard" : `${shards.length} shards`}\n`;
    for (const { sha256, samples: held, bytes } of shards.slice(0, NAMED_SHARDS))
      yield `  ${sha256}  ${held} samples, ${bytesText(bytes)}\n`;
    if (shards.length > NAMED_SHARDS) yield `  and ${shards.length - NAMED_SHARDS} more, in manifest.json\n`;
  }
  yield `classes: ${classes.length}\n`;
  for (const [label, { name, id }] of classes.slice(0, NAMED_CLASSES).entries()) {
    const held = counts.map((each) => each[label]).join(" + ");
    yield `  ${label}  ${printable(id ? `${id} ${name}` : name)}  ${held}\n`;
  }
  if (classes.length > NAMED_CLASSES) yield `  and ${classes.length - NAMED_CLASSES} more, which --json lists\n`;
  yield* oddText(store, "converted", converted);
  yield* oddText(store, "rejected", rejected);
}

// Some pictures of each class side by side: whether labels are right, people see at once.

import { evaluationGeometry } from "../../shared/image/crops.ts";
import { type RgbImage, resizeCrop } from "../../shared/image/resize.ts";
import type { StoreManifest, StoreSplit } from "../store/manifest.ts";
import type { StoreReader } from "../store/store-reader.ts";
import { listedSamples } from "./list-lines.ts";
import { escapeXml, imageReader, pngOf, Sheet } from "./sample-images.ts";
import { SampleReader } from "./store-samples.ts";

/** Most classes on a sheet: of more, some from first to last. */
export const SHEET_CLASSES = 40;
/** Most samples of a class. */
export const SHEET_COLUMNS = 10;
const SIDE = 96;
const GAP = 4;
const MARGIN = 190;
/** Letters of a class's name that fit the margin. */
const NAME_LETTERS = 26;

/** The centre of a picture, `side` by `side`. */
export function thumbnail(image: RgbImage, side: number): RgbImage {
  const { size, window } = evaluationGeometry(image.width, image.height, side, side);
  const box = { x: 0, y: 0, w: image.width, h: image.height };
  return { width: side, height: side, rgb: resizeCrop(image, box, size, window) };
}

/** Labels from first to last, evenly: class 0 and the last are among them. */
function shownLabels(classes: number): number[] {
  const count = Math.min(classes, SHEET_CLASSES);
  return Array.from({ length: count }, (_, i) => Math.round((i * (classes - 1)) / Math.max(1, count - 1)));
}

/** The first samples of each of these labels, in the store's order. */
async function firstOfEach(
  store: StoreReader,
  split: StoreSplit,
  labels: readonly number[],
): Promise<ReadonlyMap<number, readonly number[]>> {
  const found = new Map<number, number[]>(labels.map((label) => [label, []]));
  let missing = labels.length * SHEET_COLUMNS;
  let sample = 0;
  for await (const { label } of listedSamples(store, split)) {
    const list = found.get(label);
    if (list && list.length < SHEET_COLUMNS) {
      list.push(sample);
      if (--missing === 0) break;
    }
    sample++;
  }
  return found;
}

/** A PNG: a row a class. @throws what reading and decoding throw */
export async function contactSheet(
  store: StoreReader,
  manifest: StoreManifest,
  split: StoreSplit,
): Promise<Uint8Array> {
  const labels = shownLabels(manifest.classes.length);
  const samples = await firstOfEach(store, split, labels);
  const readImage = await imageReader(manifest);
  const reader = new SampleReader(store, manifest);
  const columns = Math.max(...[...samples.values()].map(({ length }) => length));
  const sheet = new Sheet(MARGIN + columns * (SIDE + GAP), GAP + labels.length * (SIDE + GAP));
  const texts: string[] = [];
  for (const [row, label] of labels.entries()) {
    const y = GAP + row * (SIDE + GAP);
    const { name, id } = manifest.classes[label]!;
    const line = (text: string, dy: number) =>
      `<text x="8" y="${y + dy}" font-family="sans-serif" font-size="13">${escapeXml(text.slice(0, NAME_LETTERS))}</text>`;
    texts.push(line(`${label}`, 30), line(name, 50), line(id ?? "", 68));
    for (const [column, sample] of samples.get(label)!.entries()) {
      const { content } = await reader.read(split, sample);
      sheet.put(thumbnail(readImage(content), SIDE), MARGIN + column * (SIDE + GAP), y);
    }
  }
  return pngOf(sheet, { svg: texts.join("") });
}

// Some crops of each of some sequences side by side, with the target's box in each: whether boxes are right, people see
// at once.

import { readClip } from "../../shared/data/clip.ts";
import { spreadFrames } from "../../shared/tracking/pairs.ts";
import type { StoreManifest, StoreSplit } from "../store/manifest.ts";
import type { StoreReader } from "../store/store-reader.ts";
import { thumbnail } from "./contact-sheet.ts";
import { listedSamples } from "./list-lines.ts";
import { escapeXml, jpegReader, pngOf, Sheet } from "./sample-images.ts";
import { SampleReader } from "./store-samples.ts";

/** Sequences on a sheet at most: of more, the first. */
export const SHEET_CLIPS = 24;
/** Crops of each, from first to last. */
export const SHEET_CROPS = 8;
const SIDE = 128;
const GAP = 4;
const MARGIN = 200;
/** Letters of a name that fit the margin. */
const NAME_LETTERS = 27;

/** A box about a place in a picture, in a stroke that is seen on light and dark. */
export function boxAbout([x, y]: readonly [number, number], width: number, height: number, side: number): string {
  const [w, h] = [Math.min(width, side), Math.min(height, side)];
  const at = `x="${x - w / 2}" y="${y - h / 2}" width="${w}" height="${h}" fill="none"`;
  return `<rect ${at} stroke="#000" stroke-width="3"/><rect ${at} stroke="#fd0" stroke-width="1.5"/>`;
}

/** A PNG: a row a sequence. @throws what reading and decoding throw */
export async function clipSheet(store: StoreReader, manifest: StoreManifest, split: StoreSplit): Promise<Uint8Array> {
  const names: { readonly name: string; readonly label: number }[] = [];
  for await (const listed of listedSamples(store, split)) {
    if (names.push(listed) === SHEET_CLIPS) break;
  }
  const reader = new SampleReader(store, manifest);
  const decode = await jpegReader();
  const sheet = new Sheet(MARGIN + SHEET_CROPS * (SIDE + GAP), GAP + names.length * (SIDE + GAP));
  const drawn: string[] = [];
  for (const [row, { name, label }] of names.entries()) {
    const y = GAP + row * (SIDE + GAP);
    const clip = readClip((await reader.read(split, row)).content, `${split}: sample ${row}`);
    const line = (text: string, dy: number) =>
      `<text x="8" y="${y + dy}" font-family="sans-serif" font-size="13">${escapeXml(text.slice(0, NAME_LETTERS))}</text>`;
    const crops = `${clip.frames.length} crops`;
    drawn.push(line(`${row}  ${name}`, 40), line(manifest.classes[label]?.name ?? "", 60), line(crops, 78));
    const shown = spreadFrames(
      clip.frames.map((_, i) => i),
      SHEET_CROPS,
    );
    for (const [column, index] of shown.entries()) {
      const { width, height, jpeg } = clip.crop(index);
      const x = MARGIN + column * (SIDE + GAP);
      const image = decode(jpeg);
      sheet.put(thumbnail(image, SIDE), x, y);
      const scale = SIDE / image.width;
      drawn.push(boxAbout([x + SIDE / 2, y + SIDE / 2], width * scale, height * scale, SIDE));
    }
  }
  return pngOf(sheet, { svg: drawn.join("") });
}

// Makes what somebody drew or photographed like what the network has learned from.

/** A rectangle in pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** Grey pixels [h][w] or colours [h][w][3]. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Darker than that nobody drew. */
const DRAWN = 32;

/** What is drawn of grey pixels; undefined where nothing is. */
export function drawnBox({ data, width, height }: Pixels): Box | undefined {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] < DRAWN) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  return right < 0 ? undefined : { x: left, y: top, w: right - left + 1, h: bottom - top + 1 };
}

/**
 * How much of the picture's side the longer side of a drawing takes: MNIST's digits were scaled to 20 of 28 pixels
 * (LeCun et al. 1998), what Fashion-MNIST shows fills its pictures.
 */
export function drawnShare(labels: readonly string[]): number {
  return labels.every((label) => /^\d$/.test(label)) ? 20 / 28 : 26 / 28;
}

/** Where a box goes in a square so that it is in the middle and its longer side takes that share. */
export function fitted({ w, h }: Box, side: number, share: number): Box {
  const scale = (side * share) / Math.max(w, h);
  return { x: (side - w * scale) / 2, y: (side - h * scale) / 2, w: w * scale, h: h * scale };
}

/**
 * Whether a picture is to be seen with light and dark swapped: its border is light, and what the network learned from
 * is mostly dark, as white on black is.
 * @param mean of the data set's pixels, 0 to 1
 */
export function looksSwapped({ data, width, height }: Pixels, mean: number): boolean {
  if (mean >= 0.5) return false;
  let [sum, count] = [0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (x > 0 && y > 0 && x < width - 1 && y < height - 1) continue;
      sum += data[y * width + x];
      count++;
    }
  }
  return sum / count > 127;
}

/** Light for dark. */
export function swapped(pixels: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(pixels, (value) => 255 - value);
}

/** Pixels as a canvas takes them, opaque. @param data [h][w] or [h][w][3] */
export function rgbaOf(data: Uint8Array, channels: number): Uint8ClampedArray<ArrayBuffer> {
  const pixels = data.length / channels;
  const rgba = new Uint8ClampedArray(4 * pixels);
  for (let p = 0; p < pixels; p++) {
    for (let c = 0; c < 3; c++) rgba[4 * p + c] = data[p * channels + (channels === 1 ? 0 : c)];
    rgba[4 * p + 3] = 255;
  }
  return rgba;
}

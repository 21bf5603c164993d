// A view of a picture, made pixels; whoever only says what is to be seen needs none of this.

import { mirror, type RgbImage, resizeCrop } from "./resize.ts";
import type { View } from "./view.ts";

/** @param into [size][size][3], where the pixels go */
export function seeView(image: RgbImage, { box, size, window, flip }: View, into: Uint8Array): void {
  resizeCrop(image, box, size, window, into);
  if (flip) mirror(into, window.w);
}

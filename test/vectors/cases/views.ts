// Vectors of what networks see of JPEGs: boxes and windows as they are drawn, and a resize byte for byte.

import { rng } from "../../../shared/base/rng.ts";
import { resizeCrop } from "../../../shared/image/resize.ts";
import { drawView, type ViewOptions } from "../../../shared/image/view.ts";
import { hex } from "../text.ts";

const seed = 7;
const pictures = [
  [500, 375],
  [333, 500],
  [500, 33],
  [256, 256],
  [17, 400],
] as const;
const options: readonly ViewOptions[] = [
  { size: 224, resize: 256, augment: "random-resized-crop", area: [0.08, 1] },
  { size: 64, resize: 73, augment: "random-resized-crop", area: [0.25, 0.5] },
  { size: 32, resize: 32, augment: "crop-flip", area: [0.08, 1] },
];

export function views() {
  const drawn = options.flatMap((view) =>
    pictures.map(([width, height], sample) => {
      const stream = rng(seed, "augment", "student", 1, sample);
      return {
        options: { ...view, area: [...view.area] },
        picture: { width, height },
        sample,
        training: drawView(view, width, height, stream),
        evaluation: drawView(view, width, height, undefined),
      };
    }),
  );
  const [width, height] = [7, 5];
  const bytes = rng("vectors", "picture");
  const rgb = Uint8Array.from({ length: 3 * width * height }, () => bytes.below(256));
  const resizes = [
    { box: { x: 1, y: 0, w: 6, h: 5 }, size: { width: 3, height: 2 }, window: { x: 0, y: 0, w: 3, h: 2 } },
    { box: { x: 0, y: 1, w: 2, h: 3 }, size: { width: 5, height: 4 }, window: { x: 1, y: 1, w: 4, h: 2 } },
  ].map((one) => ({ ...one, pixels: hex(resizeCrop({ width, height, rgb }, one.box, one.size, one.window)) }));
  return { seed, phase: "student", epoch: 1, views: drawn, picture: { width, height, rgb: hex(rgb) }, resizes };
}

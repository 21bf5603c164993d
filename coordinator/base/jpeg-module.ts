// The JPEG decoder's WebAssembly, from where the package that has it is installed.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

export async function readJpegModule(): Promise<Uint8Array<ArrayBuffer>> {
  const file = createRequire(import.meta.url).resolve("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm");
  return new Uint8Array(await readFile(file));
}

// The JPEG decoder's WebAssembly, from where the package that has it is installed.

export function readJpegModule(): Promise<Uint8Array<ArrayBuffer>> {
  return Deno.readFile(new URL(import.meta.resolve("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm")));
}

// The JPEG decoder's WebAssembly, from where the build has put it.

import moduleUrl from "@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm?url";

export async function fetchJpegModule(): Promise<ArrayBuffer> {
  const response = await fetch(moduleUrl);
  if (!response.ok) throw new Error(`the image decoder did not load: HTTP ${response.status}; reload the page`);
  return response.arrayBuffer();
}

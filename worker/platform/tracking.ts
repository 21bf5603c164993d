// What browsers and Deno bring to tracking, loaded by those alone who follow films: the exported network runs by
// bitswarm/inference, on a GPU where there is a real one, and else on the processor, which is faster than one in
// software.

import type { TrackingPorts } from "../tracking/tracking-ports.ts";

/** @param readModule the bytes of the JPEG decoder's module */
export function trackingPorts(readModule: () => Promise<ArrayBuffer | Uint8Array<ArrayBuffer>>): TrackingPorts {
  return {
    openBackbone: async (model, backend) => {
      const { loadBackbone } = await import("../inference/index.ts");
      return loadBackbone(model, backend === undefined ? {} : { backend });
    },
    openJpeg: async () => {
      const { createJpegDecoder } = await import("../../shared/image/jpeg.ts");
      return createJpegDecoder(await readModule());
    },
  };
}

// What a runtime brings to tracking: an exported network that computes, and the decoder of frames.

import type { JpegDecoder } from "../../shared/image/jpeg.ts";
import type { Backbone } from "../../shared/tracking/backbone.ts";
import type { TrackingBackend } from "../../shared/wire/tracking.ts";

export interface TrackingPorts {
  /**
   * Loads an exported file.
   * @param backend the GPU where there is a real one, and else the processor, unless given
   * @throws MODEL_INVALID for a file of another kind of network, WEBGPU_MISSING, COMPUTE_FAILED
   */
  openBackbone(model: Uint8Array<ArrayBuffer>, backend?: TrackingBackend): Promise<Backbone>;
  openJpeg(): Promise<Pick<JpegDecoder, "decode">>;
}

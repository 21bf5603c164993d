// What a film or a camera shows now, as the networks take it.

import type { Size } from "./aim.ts";
import type { Frame } from "./messages.ts";

/** Longest side of a frame: more shows a network nothing that it sees, since crops are made small. */
export const MOST_SIDE = 960;

/** A frame's size where that of the film is too large. */
export function frameSize({ width, height }: Size): Size {
  const scale = Math.min(1, MOST_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/** [h][w][4] → [h][w][3]. */
export function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array<ArrayBuffer> {
  const rgb = new Uint8Array((3 * rgba.length) / 4);
  for (let i = 0, at = 0; at < rgb.length; i += 4, at += 3) {
    rgb[at] = rgba[i]!;
    rgb[at + 1] = rgba[i + 1]!;
    rgb[at + 2] = rgba[i + 2]!;
  }
  return rgb;
}

/** Draws what is shown now, and reads it. */
export class FrameGrabber {
  readonly canvas = new OffscreenCanvas(1, 1);

  /** Undefined before there is a picture. */
  grab(video: HTMLVideoElement): Frame | undefined {
    if (video.videoWidth === 0 || video.videoHeight === 0) return undefined;
    const { width, height } = frameSize({ width: video.videoWidth, height: video.videoHeight });
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    if (!context) return undefined;
    context.drawImage(video, 0, 0, width, height);
    return { width, height, rgb: withoutAlpha(context.getImageData(0, 0, width, height).data) };
  }
}

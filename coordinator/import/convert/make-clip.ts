// From a marked film to a clip: of its usable frames some, spread over all of them, and of each the square around the
// target. Cutting once here spares every worker whole frames.

import { stat } from "node:fs/promises";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { type ClipCrop, writeClip } from "../../../shared/data/clip.ts";
import type { RgbImage } from "../../../shared/image/resize.ts";
import { type Box, centreOf } from "../../../shared/tracking/box.ts";
import { cropBytes, cropSides, cropSizes, cropWindow, meanColour } from "../../../shared/tracking/crop.ts";
import { spreadFrames, usableFrames } from "../../../shared/tracking/pairs.ts";
import { readPlainFile } from "../../disk/plain-file.ts";
import type { ClipPlan } from "../../sequences/clip-plan.ts";
import { requireSize } from "../../sequences/sequence.ts";
import type { DecodePicture } from "./decode-picture.ts";
import type { ImageTarget, Outcome } from "./outcome.ts";
import { encodeJpeg } from "./vips.ts";

/** Side of a crop. */
export const CROP_SIDE = cropSizes.instance;
/** Largest file of a frame. */
export const MOST_FRAME_BYTES = 2 ** 26;

async function decodeFrame(plan: ClipPlan, frame: number, decode: DecodePicture): Promise<RgbImage> {
  const file = plan.frames[frame];
  const name = `${plan.name}: frame ${frame + 1} (${file})`;
  const { size } = await stat(file).catch((cause: NodeJS.ErrnoException) => {
    throw new BitswarmError("DATA_INVALID", `${name} cannot be opened (${cause.code})`, { cause });
  });
  if (size > MOST_FRAME_BYTES) {
    throw new BitswarmError("DATA_INVALID", `${name} has ${size} bytes; at most ${MOST_FRAME_BYTES} are read`);
  }
  try {
    return await decode(await readPlainFile(file, { code: "DATA_INVALID", mostBytes: MOST_FRAME_BYTES }));
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    throw new BitswarmError(error.code, `${name}: ${error.message}`, { cause: error });
  }
}

async function cropOf(image: RgbImage, box: Box, frame: number, target: ImageTarget): Promise<ClipCrop> {
  const { search } = cropSides(box);
  const window = cropWindow(centreOf(box, 1), search);
  const rgb = cropBytes(image, window, meanColour(image), CROP_SIDE);
  const jpeg = await encodeJpeg({ width: CROP_SIDE, height: CROP_SIDE, rgb }, target);
  const scale = CROP_SIDE / search;
  return { frame, width: box.w * scale, height: box.h * scale, jpeg };
}

/**
 * Never throws over what is in the files. Two frames at most are in memory at a time.
 * @param most crops
 * @throws RUNTIME_MISSING where sharp is not there
 */
export async function makeClip(
  plan: ClipPlan,
  target: ImageTarget,
  most: number,
  decode: DecodePicture,
): Promise<Outcome> {
  try {
    const first = await decodeFrame(plan, 0, decode);
    const boxes = plan.boxes.map((box) => box ?? { x: 0, y: 0, w: 0, h: 0 });
    const usable = usableFrames(boxes, first, plan.cover).flatMap((good, frame) => (good ? [frame] : []));
    if (usable.length < 2) {
      const why = `${usable.length} of its ${boxes.length} frames can be learned from; a pair takes two`;
      return { verdict: "reject", why: `${why}: their targets are hidden, or too small, too large or too thin` };
    }
    const crops: ClipCrop[] = [];
    for (const frame of spreadFrames(usable, most)) {
      const image = frame === 0 ? first : await decodeFrame(plan, frame, decode);
      requireSize(plan, frame, first, image);
      crops.push(await cropOf(image, boxes[frame], frame, target));
    }
    return { verdict: "use", content: writeClip(crops) };
  } catch (error) {
    if (!(error instanceof BitswarmError) || !error.code.startsWith("DATA_")) throw error;
    return { verdict: "reject", why: error.message };
  }
}

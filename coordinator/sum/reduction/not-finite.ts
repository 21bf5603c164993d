// Finds the number for which a contribution is refused, so that the message can name it.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { blockSize, type WireLayout, type WireTensor } from "../../../shared/wire/wire-layout.ts";

/** Bits of a half float from which on it is infinite or no number. */
export const halfInfinity = 0x7c00;

/** The error of the first number of a tensor, padding included, that is not finite; `body` is the address of the body. */
export function notFinite(buffer: ArrayBufferLike, wire: WireLayout, tensor: WireTensor, body: number): BitswarmError {
  const { name, at, size } = tensor;
  const half = at >= wire.plain;
  const view = new DataView(buffer, half ? body + 4 * wire.plain + 2 * (at - wire.plain) : body + 4 * at);
  const finite = (i: number) =>
    half
      ? (view.getUint16(2 * i, true) & halfInfinity) !== halfInfinity
      : Number.isFinite(view.getFloat32(4 * i, true));
  const end = Math.ceil(size / blockSize) * blockSize;
  let element = 0;
  while (element < end && finite(element)) element++;
  const value = half ? "not a finite half" : view.getFloat32(4 * element, true);
  return new BitswarmError(
    "GRADIENT_NOT_FINITE",
    `contribution: element ${element} of ${name} is ${value}; only finite gradients count`,
  );
}

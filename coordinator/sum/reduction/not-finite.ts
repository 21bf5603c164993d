// Finds the number for which a contribution is refused, so that the message can name it.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { blockSize, type CodedTerms } from "../../../shared/codecs/codec.ts";
import type { WireLayout, WireTensor } from "../../../shared/wire/wire-layout.ts";

/** Where a refused contribution lies, and on which terms. */
export interface RefusedBody extends Pick<CodedTerms, "exponents" | "samples"> {
  readonly buffer: ArrayBufferLike;
  readonly body: number;
}

/** The error of the first number of a tensor, padding included, that is not finite. */
export function notFinite(wire: WireLayout, tensor: WireTensor, refused: RefusedBody): BitswarmError {
  const { name, at, size } = tensor;
  const valueAt = reader(wire, tensor, refused);
  const end = Math.ceil(size / blockSize) * blockSize;
  let element = 0;
  while (element < end && Number.isFinite(valueAt(at + element))) element++;
  return new BitswarmError(
    "GRADIENT_NOT_FINITE",
    `contribution: element ${element} of ${name} is ${valueAt(at + element)}; only finite gradients count`,
  );
}

function reader({ codec, plain, coded }: WireLayout, { at }: WireTensor, { buffer, body, ...terms }: RefusedBody) {
  if (codec.coding && at >= plain) {
    const read = codec.coding.read(new DataView(buffer, body + 4 * plain), { ...coded, ...terms });
    return (i: number) => read(i - plain);
  }
  const view = new DataView(buffer, body);
  return (i: number) => view.getFloat32(4 * i, true);
}

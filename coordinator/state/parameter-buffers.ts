// What both kinds of step, that of a gradient and that of a difference, do to a parameter beside their optimizer.

import type { Outline } from "../../shared/model/phases.ts";

/** A parameter's optimizer buffer, made at zero when first needed. */
export function bufferOf(buffers: Map<string, Float32Array>, name: string, like: Float32Array): Float32Array {
  const known = buffers.get(name);
  if (known) return known;
  const fresh = new Float32Array(like.length);
  buffers.set(name, fresh);
  return fresh;
}

/** Name of a parameter's optimizer buffers: all networks' lie together, and the primary's names are plain. */
export function bufferName({ primary }: Pick<Outline, "primary">, network: string, parameter: string): string {
  return network === primary ? parameter : `${network}.${parameter}`;
}

/** Adam's second moment of a parameter; undefined before its first step, and with SGD. */
export function secondMomentOf(
  state: { readonly adamSecond: ReadonlyMap<string, Float32Array>; readonly program: Pick<Outline, "primary"> },
  network: string,
  parameter: string,
): Float32Array | undefined {
  return state.adamSecond.get(bufferName(state.program, network, parameter));
}

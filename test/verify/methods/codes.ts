// What planes of a layer say of each weight, as the oracle writes it.

import { toOihw } from "../../../shared/model/axes.ts";
import { companionOf, type LatentLayer } from "../../../shared/model/methods/method.ts";

/** Σ_m 2^m bit_m of each weight, the bit being 1 where the plane has `set`. */
export function codesOf(layer: LatentLayer, set: 1 | -1): Float32Array {
  const planes = companionOf(layer, "planes");
  const n = layer.weight.length;
  return layer.weight.map((_, i) => {
    let code = 0;
    for (let m = 0; m * n < planes.length; m++) if (planes[m * n + i] === set) code += 2 ** m;
    return code;
  });
}

/** [planes][out][kh][kw][in] → [planes][out][in][kh][kw]. */
export function planesInOrder(layer: LatentLayer): Float32Array {
  const [out, kh, kw, input] = layer.shape;
  const planes = companionOf(layer, "planes");
  const result = new Float32Array(planes.length);
  for (let at = 0; at < planes.length; at += layer.weight.length) {
    result.set(toOihw(planes.subarray(at, at + layer.weight.length), [out, input, kh, kw]), at);
  }
  return result;
}

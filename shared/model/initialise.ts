// The first values of parameters, by PyTorch's definitions; every draw comes from the stream that is passed in.
import type { Rng } from "../base/rng.ts";

/**
 * N(0, 2 / fanIn) over shape [out, kh, kw, in] (He et al., ICCV 2015; torch.nn.init.kaiming_normal_ with ReLU's gain).
 * fanIn is in·kh·kw for a convolution. Values are drawn in the order of the array, [out][kh][kw][in].
 */
export function kaimingNormal(rng: Rng, shape: readonly number[], fanIn: number): Float32Array<ArrayBuffer> {
  if (!(fanIn > 0)) throw new RangeError(`initialise: fanIn must be over 0, got ${fanIn}`);
  const deviation = Math.sqrt(2 / fanIn);
  const values = new Float32Array(shape.reduce((product, length) => product * length, 1));
  for (let i = 0; i < values.length; i++) values[i] = deviation * rng.normal();
  return values;
}

/** `n` values of U[−bound, bound). */
export function uniform(rng: Rng, n: number, bound: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = bound * (2 * rng.uniform() - 1);
  return values;
}

/**
 * torch.nn.Linear's default: weight [outputs][inputs] and bias [outputs] from U(±1/√inputs), the weight drawn first.
 */
export function linearDefault(
  rng: Rng,
  outputs: number,
  inputs: number,
): { readonly weight: Float32Array<ArrayBuffer>; readonly bias: Float32Array<ArrayBuffer> } {
  if (!(inputs > 0)) throw new RangeError(`initialise: inputs must be over 0, got ${inputs}`);
  const bound = 1 / Math.sqrt(inputs);
  const weight = uniform(rng, outputs * inputs, bound);
  return { weight, bias: uniform(rng, outputs, bound) };
}

// A gradient made of few bits on its way back, as DoReFa-Net does it (Zhou et al. 2016): each sample by its own
// largest magnitude, with noise of half a step to either side.
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel, KernelSequence } from "../text/kernel.ts";
import { levelsOf } from "./quantise-rule.ts";

/** A gradient of n samples of so many elements. */
export interface SampleGradients {
  readonly n: number;
  readonly elements: number;
}

/** Elements below which a sample's maximum is not cut further, and parts at most. */
const ENOUGH_ELEMENTS = 64;
const MOST_PARTS = 256;

/** dy f32 [n][elements] → peak f32 [n], the largest |dy| of each sample. */
export function gradientPeaks({ n, elements }: SampleGradients): KernelSequence {
  const parts = Math.min(MOST_PARTS, Math.ceil(elements / ENOUGH_ELEMENTS));
  const partial = kernel({
    label: `gradientPeaks ${n}x${elements}`,
    storage: [read("dy"), readWrite("scratch")],
    items: n * parts,
    body: `
let first = (index / ${parts}u) * ${elements}u;
var most = 0.0;
for (var i = index % ${parts}u; i < ${elements}u; i += ${parts}u) { most = max(most, abs(dy[first + i])); }
scratch[index] = most;`,
  });
  const whole = kernel({
    label: `gradientPeaks samples ${n}x${parts}`,
    storage: [read("scratch"), readWrite("peak")],
    items: n,
    body: `
var most = 0.0;
for (var i = 0u; i < ${parts}u; i++) { most = max(most, scratch[index * ${parts}u + i]); }
peak[index] = most;`,
  });
  return { kernels: [partial, whole], scratchBytes: 4 * n * parts };
}

/**
 * noise f32 [size] on [−½, ½) from the gradient's own bits and each element's index, so that a step that is computed
 * again is the same. The hash is lowbias32 (C. Wellons, hash-prospector, public domain).
 */
export function gradientNoise({ size }: { readonly size: number }): Kernel {
  return kernel({
    label: `gradientNoise ${size}`,
    storage: [read("dy"), readWrite("noise")],
    items: size,
    body: `
var hash = bitcast<u32>(dy[index]) ^ (index * 0x9e3779b9u);
hash ^= hash >> 16u;
hash *= 0x7feb352du;
hash ^= hash >> 15u;
hash *= 0x846ca68bu;
hash ^= hash >> 16u;
noise[index] = f32(hash >> 8u) * 0x1p-24f - 0.5;`,
  });
}

/**
 * dx (+)= 2·peak·(Q(clip(dy/(2·peak) + ½ + noise/(2^bits − 1), 0, 1)) − ½), Q to 2^bits levels, ties to even; 0 where
 * the sample's peak is. dy, noise, dx f32 [n][elements], peak f32 [n].
 */
export function quantiseGradient(o: SampleGradients & { readonly bits: number; readonly accumulate: boolean }): Kernel {
  const levels = levelsOf(o.bits);
  return kernel({
    label: `quantiseGradient ${o.bits} ${o.n}x${o.elements}`,
    floats: { LEVELS: levels, HALF: levels / 2, STEP: Math.fround(1 / levels) },
    storage: [read("dy"), read("peak"), read("noise"), readWrite("dx")],
    items: o.n * o.elements,
    body: `
let most = peak[index / ${o.elements}u];
let ratio = select(0.0, dy[index] / most, most > 0.0);
let level = round(clamp(HALF * ratio + noise[index] + HALF, 0.0, LEVELS));
let result = 2.0 * most * (level * STEP - 0.5);
dx[index] ${o.accumulate ? "+=" : "="} select(0.0, result, most > 0.0);`,
  });
}

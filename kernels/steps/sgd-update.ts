// One step of SGD with momentum on the device, for the inner steps of `sync: local` (PyTorch's definition, as
// shared/model/optimizer.ts has it).
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/**
 * g = gradient + weightDecay·parameter; momentum ← μ·momentum + g; parameter ← parameter − rates[rate]·momentum,
 * clamped to ±bound where one is given. parameter, gradient and momentum are f32 [size].
 */
export function sgdUpdate(o: {
  readonly size: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** Index of the learning rate in `rates`: it changes from step to step, a text does not. */
  readonly rate: number;
  readonly bound?: number;
}): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  const { bound } = o;
  const next = "p - rates[RATE] * v";
  return kernel({
    label: `sgdUpdate ${o.size}`,
    constants: { RATE: o.rate },
    floats: { MOMENTUM: o.momentum, DECAY: o.weightDecay, ...(bound === undefined ? {} : { BOUND: bound }) },
    storage: [readWrite("parameter", type), read("gradient", type), readWrite("momentum", type), read("rates")],
    items: o.size / width,
    body: `
let p = parameter[index];
let v = MOMENTUM * momentum[index] + (gradient[index] + DECAY * p);
momentum[index] = v;
parameter[index] = ${bound === undefined ? next : `clamp(${next}, ${type}(-BOUND), ${type}(BOUND))`};`,
  });
}

// Brings the metrics of one microbatch together in the order of the contribution layout, so that they are accumulated like gradients.
import { kernel, read, readWrite } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";

/**
 * task f32 [3] (loss, top-1, top-5) and adversarial f32 [layers][stride] with the discriminator's loss and the generator's
 * in front of each row → metrics f32 [5]: task's three, then scale·Σ over layers of both.
 */
export function collectMetrics(o: {
  readonly layers: number;
  readonly stride: number;
  readonly scale: number;
}): Kernel {
  const storage = [read("task"), ...(o.layers > 0 ? [read("adversarial")] : []), readWrite("metrics")];
  const sums =
    o.layers > 0
      ? `
for (var layer = 0u; layer < LAYERS; layer++) {
  discriminator += adversarial[layer * STRIDE];
  generator += adversarial[layer * STRIDE + 1u];
}`
      : "";
  return kernel({
    label: `collectMetrics ${o.layers}`,
    constants: { LAYERS: o.layers, STRIDE: o.stride },
    floats: { SCALE: o.scale },
    storage,
    items: 1,
    workgroupSize: 1,
    body: `
var discriminator = 0.0;
var generator = 0.0;${sums}
for (var i = 0u; i < 3u; i++) { metrics[i] = task[i]; }
metrics[3] = SCALE * discriminator;
metrics[4] = SCALE * generator;`,
  });
}

// Brings the metrics of one microbatch together in the order of the contribution layout, so that they are accumulated
// like gradients.
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/**
 * task f32 [tasks] (the loss, then the task's own metrics) and adversarial f32 [layers][2], the discriminator's loss
 * and the generator's of each layer → metrics f32 [tasks + 2]: the task's, then scale·Σ over layers of both.
 */
export function collectMetrics(o: { readonly tasks: number; readonly layers: number; readonly scale: number }): Kernel {
  const storage = [read("task"), ...(o.layers > 0 ? [read("adversarial")] : []), readWrite("metrics")];
  const sums =
    o.layers > 0
      ? `
for (var layer = 0u; layer < LAYERS; layer++) {
  discriminator += adversarial[2u * layer];
  generator += adversarial[2u * layer + 1u];
}`
      : "";
  return kernel({
    label: `collectMetrics ${o.layers}`,
    constants: { LAYERS: o.layers },
    floats: { SCALE: o.scale },
    storage,
    items: 1,
    workgroupSize: 1,
    body: `
var discriminator = 0.0;
var generator = 0.0;${sums}
for (var i = 0u; i < ${o.tasks}u; i++) { metrics[i] = task[i]; }
metrics[${o.tasks}] = SCALE * discriminator;
metrics[${o.tasks + 1}] = SCALE * generator;`,
  });
}

// The networks of the papers with every method: each builds, and its training and its evaluation compile into launches
// that every WebGPU device takes. Plans are in rotation over the networks; `npm run test:long` compiles all of them.

import { expect, test } from "vitest";
import { MAX_WORKGROUPS } from "../../../kernels/text/dispatch.ts";
import type { Shape } from "../../../shared/model/graph.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { wrnWidths } from "../../../shared/model/networks/wrn.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { compilePlan } from "../../../worker/plan/plan.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";
import { inRotation } from "../../fixtures/in-rotation.ts";

interface Named {
  readonly title: string;
  readonly model: Readonly<Record<string, unknown>>;
  readonly shape: Shape;
  /** Layers that a method may make binary. */
  readonly binary: number;
}

const small: Shape = { h: 32, w: 32, c: 3 };
const large: Shape = { h: 224, w: 224, c: 3 };

const networks: readonly Named[] = [
  {
    title: "LeNet-5",
    model: { kind: "lenet", widths: [20, 50, 500] },
    shape: { h: 28, w: 28, c: 1 },
    binary: 2,
  },
  { title: "ResNet-18 for CIFAR", model: { kind: "resnet", depth: 18 }, shape: small, binary: 16 },
  { title: "ResNet-18", model: { kind: "resnet", depth: 18, stem: "imagenet" }, shape: large, binary: 16 },
  { title: "ResNet-34", model: { kind: "resnet", depth: 34, stem: "imagenet" }, shape: large, binary: 32 },
  ...Object.keys(wrnWidths).flatMap((widths) => [
    { title: `WRN-22 ${widths}`, model: { kind: "wrn", depth: 22, widths }, shape: small, binary: 18 },
    { title: `WRN-40 ${widths}`, model: { kind: "wrn", depth: 40, widths }, shape: small, binary: 36 },
  ]),
];

/** Networks until every method has been compiled. */
const ROTATION = 6;

const due = networks.map((network, turn) => ({ ...network, compiled: inRotation(methods.kinds, turn, ROTATION) }));

test.each(due)("$title builds with every method, and its plans compile", ({ model, shape, binary, compiled }) => {
  for (const kind of methods.kinds) {
    const config = parseConfig({
      model,
      method: { kind },
      // INQ has five stages.
      epochs: 5,
      ...(kind === "lab" ? { optimizer: { latent: { kind: "adam" } } } : {}),
    });
    const { outline } = phasesOf(config);
    const built = buildNetworks(config, { shape, classes: 10 }, outline);
    const { latent, graph } = built[outline.primary]!;
    expect(latent.length, kind).toBe(kind === "full" ? 0 : binary);
    if (!compiled.includes(kind)) continue;
    const trained = outline.phases.findLast(({ network, evaluate }) => network === outline.primary && !evaluate)!;
    for (const phase of [trained, phaseNamed(outline, `evaluate-${outline.primary}`)]) {
      const { list, layout, logits } = compilePlan({
        networks: built,
        phase,
        n: 2,
        adversarialReduce: "mean",
        loss: classificationLoss(0),
        accumulate: "exact",
      });
      expect(logits.kind === "external" ? logits.bytes : 4 * 2 * 10, kind).toBe(4 * 2 * graph.shapes[graph.output]!.c);
      for (const { kernel } of list.launches) {
        expect(kernel.bindings.length, `${kind}: ${kernel.label}`).toBeLessThanOrEqual(8);
        expect(Math.max(...kernel.grid), `${kind}: ${kernel.label}`).toBeLessThanOrEqual(MAX_WORKGROUPS);
      }
      const gradients = layout.tensors.filter(({ kind: tensor }) => tensor === "gradient").length;
      expect(gradients > 0, kind).toBe(!phase.evaluate);
    }
  }
});

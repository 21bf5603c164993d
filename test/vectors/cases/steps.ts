// Vectors of steps: what one microbatch of each kind of phase comes to, by float64 arithmetic written down beside the
// kernels and not from them (../reference); the device's own is compared with it in steps.device.test.ts.

import type { Manifest } from "../../../shared/model/manifest.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { METRICS, phaseLayout } from "../../../shared/wire/contribution.ts";
import { setManifest } from "../../../shared/wire/parameter-set.ts";
import { heldDecoder } from "../../fixtures/decode-samples.ts";
import { normalised } from "../../fixtures/normalised.ts";
import type { Values } from "../reference/network.ts";
import { referenceStep } from "../reference/step.ts";
import { base64 } from "../text.ts";
import { drawnParameters, readByWorkers, shard, spreadOf, vectorConfig, vectorDataset, vectorNetworks } from "./run.ts";

/** Samples of the microbatch: those of the shard, in its order. */
export const SAMPLES = [0, 1, 2, 3] as const;
/** Elements of a tensor that are printed: of longer ones every so many-th. */
const PRINTED = 96;
/** The same where the pass through the network is as in another case. */
const FEW = 12;

interface StepCase {
  readonly name: string;
  readonly config: Record<string, unknown>;
  readonly phase: string;
  readonly printed?: number;
}

export const stepCases: readonly StepCase[] = [
  { name: "teacher", config: {}, phase: "teacher" },
  { name: "student of RBCN, R+G+B", config: {}, phase: "student" },
  { name: "BN phase", config: {}, phase: "bn" },
  { name: "evaluation of the student", config: {}, phase: "evaluate-student" },
  {
    name: "student of BNN in its authors' order",
    config: { method: { kind: "bnn", blockOrder: "paper" } },
    phase: "student",
  },
  {
    name: "student of XNOR-Net, a small WRN",
    config: { method: { kind: "xnor", blockOrder: "paper" }, model: { kind: "wrn", depth: 10, widths: [2, 2, 3, 4] } },
    phase: "student",
  },
  // C is shared by all taps, and sums of few ±1 tie in many windows of a max-pool: whose gradient goes to the first.
  {
    name: "student of XNOR-Net, a LeNet with ties",
    config: { method: { kind: "xnor" }, model: { kind: "lenet", widths: [2, 16, 3] } },
    phase: "student",
  },
  {
    name: "student of RBCN with one C a layer, a LeNet with ties",
    config: {
      method: { kind: "rbcn", ablation: "R", rectify: "layer" },
      model: { kind: "lenet", widths: [2, 16, 3] },
    },
    phase: "student",
  },
  {
    name: "student of RBCN after Polino's objective, a frozen teacher's logits",
    config: { objective: { kind: "polino", reduce: "element" } },
    phase: "student",
    printed: FEW,
  },
  {
    name: "student of RBCN beside a twin that learns from soft targets, too",
    config: { objective: { kind: "apprentice", variant: "A", temperature: 2, targetGradient: true } },
    phase: "student",
    printed: FEW,
  },
  {
    name: "student of RBCN beside a twin, each learning from the other",
    config: { objective: { kind: "mutual", temperature: 4, studentTask: 0.7, teacherSoft: 0.5 } },
    phase: "student",
    printed: FEW,
  },
  {
    name: "student of RBCN beside a twin, guided by maps of two bits",
    config: { objective: { kind: "features", bits: 2, lambda: 0.1 } },
    phase: "student",
    printed: FEW,
  },
];

export function microbatch(config: RunConfig) {
  const dataset = vectorDataset();
  const held = new Map([[dataset.train.shards[0].sha256, shard()]]);
  const round = { phase: "student", epoch: 0, split: "train" } as const;
  const { input } = heldDecoder(config, dataset)(round, [...SAMPLES], held);
  return normalised(config, dataset, input);
}

/** Parameters of every set of a run, by set. */
export function setsOf(config: RunConfig): Readonly<Record<string, ReturnType<typeof drawnParameters>>> {
  const networks = vectorNetworks(config);
  const all = Object.entries(networks).flatMap(([name, { manifest, partners }]) => [
    [name, drawnParameters(name, manifest)] as const,
    ...Object.entries(partners).map(([partner, own]) => [partner, drawnParameters(partner, own)] as const),
  ]);
  return Object.fromEntries(all);
}

export function computed(given: Record<string, unknown>, phaseName: string) {
  const config = vectorConfig(given);
  const networks = vectorNetworks(config);
  const phase = phaseNamed(phasesOf(config).outline, phaseName);
  const sets = setsOf(config);
  const { image, label } = microbatch(config);
  const values: Values = new Map([phase.network, ...phase.partners].flatMap((set) => [...sets[set]]));
  const { tensors, trace } = referenceStep({
    networks,
    phase,
    image: image as Float32Array,
    label,
    values,
    frozen: sets,
    labelSmoothing: 0.1,
    lambda: config.adversarial.lambda,
    reduce: config.adversarial.reduce,
  });
  return { config, networks, phase, sets, tensors, trace };
}

/** Every how many-th element is printed. */
export function strideOf(size: number, printed = PRINTED): number {
  return Math.ceil(size / printed);
}

/** Units of a step: gradients in 2^-20, statistics and metrics in 2^-12. */
export function exponentsOf(kinds: readonly { readonly kind: string }[]): number[] {
  return kinds.map(({ kind }) => (kind === "gradient" ? -20 : -12));
}

/** How each tensor was drawn, and its first values. */
export function describedParameters({ entries }: Manifest, values: ReturnType<typeof drawnParameters>) {
  return entries.map(({ name, shape }) => {
    const [bound, center] = spreadOf(name, shape);
    return { name, shape, bound, center, first: [...values.get(name)!.subarray(0, 2)] };
  });
}

export function steps() {
  return {
    samples: SAMPLES,
    cases: stepCases.map(({ name, config: given, phase: phaseName, printed }) => {
      const { config, networks, phase, sets, tensors } = computed(given, phaseName);
      const layout = phaseLayout(networks, phase);
      const exponents = exponentsOf(layout.tensors);
      const { lambda } = config.adversarial;
      const used = [phase.network, ...phase.partners, ...phase.needs];
      return {
        name,
        config: readByWorkers(config),
        phase: phaseName,
        ...(phase.losses.some(({ kind }) => kind === "adversarial") ? { lambda } : {}),
        parameters: Object.fromEntries(
          used.map((set) => [set, describedParameters(setManifest(networks, set), sets[set])]),
        ),
        metrics: [...tensors.get(METRICS)!],
        tensors: layout.tensors.map(({ name: tensor, kind, size }, index) => {
          const value = tensors.get(tensor)!;
          const stride = strideOf(size, printed);
          const shown = Float32Array.from(value.filter((_, i) => i % stride === 0));
          const scale = SAMPLES.length / 2 ** exponents[index];
          const units = Int32Array.from(shown, (one) => Math.round(one * scale));
          return {
            name: tensor,
            kind,
            size,
            exponent: exponents[index],
            every: stride,
            norm: Math.sqrt(value.reduce((sum, one) => sum + one * one, 0)),
            values: base64(shown),
            ...(size <= 16 ? { units: [...units] } : {}),
          };
        }),
      };
    }),
  };
}

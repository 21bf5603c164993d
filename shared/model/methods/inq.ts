// INQ, incremental network quantization (Zhou, Yao, Guo, Xu & Chen, ICLR 2017): portion by portion the greatest weights
// become 0 or ± a power of two and stay so, while the rest goes on training and makes up for it.

import { z } from "zod";
import { commonBlock, companionOf, defineMethod, type LatentLayer, type MethodRun } from "./method.ts";
import { greatestPower, nearestPower, powerLevels, type Ties } from "./powers-of-two.ts";
import { plainStage, type Stage, shareEpochs, stageProblems, trainingProgram } from "./programs.ts";
import { quantisedBody } from "./quantised-body.ts";

/** So many bits have 64 powers of two, more than a layer's weights span. */
const MOST_INQ_BITS = 8;
/** Published ones are four. */
const MOST_PORTIONS = 16;

const schema = z.strictObject({
  kind: z.literal("inq"),
  portions: z
    .array(z.number().gt(0).max(1))
    .min(1)
    .max(MOST_PORTIONS)
    .default([0.5, 0.75, 0.875, 1])
    .describe(
      "shares of a layer's weights that are frozen, phase after phase, up to 1 (ResNet's; AlexNet's: .3 .6 .8 1)",
    ),
  bits: z.int().min(2).max(MOST_INQ_BITS).default(5).describe("of a frozen weight: one code is 0"),
  ties: z
    .enum(["up", "down"])
    .default("up")
    .describe("of a weight in the middle of two levels: as printed, or as in the authors' code"),
  pretrain: z
    .number()
    .min(0)
    .lt(1)
    .default(0.4)
    .describe(
      "share of the epochs before the first portion, all weights free; the authors begin with a trained network",
    ),
});

export interface Partition {
  readonly portion: number;
  readonly bits: number;
  readonly ties: Ties;
}

/**
 * Freezes the greatest weights of those that are free, until ⌊portion · n⌋ are frozen; equal ones in their order.
 * Changes W, `frozen` and `n1` in place; n1 is that of the first portion.
 */
export function freeze(layer: LatentLayer, { portion, bits, ties }: Partition): void {
  const { weight } = layer;
  const [frozen, n1] = [companionOf(layer, "frozen"), companionOf(layer, "n1")];
  const before = frozen.reduce((sum, one) => sum + one, 0);
  const more = Math.floor(portion * weight.length) - before;
  if (more <= 0) return;
  if (before === 0) n1[0] = greatestPower(weight) ?? 0;
  const levels = powerLevels(n1[0], bits);
  // Without a function that compares, sorting millions takes a fraction of a second.
  const sizes = new Float32Array(weight.length - before);
  let at = 0;
  for (let i = 0; i < weight.length; i++) if (frozen[i] === 0) sizes[at++] = Math.abs(weight[i]);
  sizes.sort();
  const least = sizes[sizes.length - more];
  let equal = more - sizes.reduce((greater, size) => greater + Number(size > least), 0);
  for (let i = 0; i < weight.length; i++) {
    const size = Math.abs(weight[i]);
    if (frozen[i] === 1 || size < least || (size === least && equal-- <= 0)) continue;
    frozen[i] = 1;
    weight[i] = nearestPower(weight[i], levels, ties);
  }
}

/** Frozen weights as they were: the mask is on the finished update, after momentum and decay. */
function restore({ weight, companions: { frozen } }: LatentLayer, previous: Float32Array): void {
  if (!frozen) return;
  for (let i = 0; i < weight.length; i++) if (frozen[i] === 1) weight[i] = previous[i];
}

/** Of a share: 87.5 %. */
function percent(portion: number): string {
  return `${Math.round(portion * 1000) / 10} %`;
}

type Options = z.output<typeof schema>;

/** Of the epochs: before the first portion, and each portion's. */
function sharesOf({ portions, pretrain }: Options): readonly number[] {
  return [pretrain, ...portions.map(() => (1 - pretrain) / portions.length)];
}

/**
 * All weights free, then a stage a portion, equally long; the last one, where every weight is frozen, trains the rest
 * of the network alone.
 */
function stagesOf(options: Options, run: MethodRun): readonly Stage[] {
  const { portions } = options;
  const [free, ...epochs] = shareEpochs(run.epochs, sharesOf(options));
  const frozen = portions.map((portion, i): Stage => {
    const held = `${percent(portion)} of its weights frozen`;
    return {
      name: `portion-${i + 1}`,
      title: `${run.word} student, ${held}`,
      doing: `training the ${run.word} network, ${held}`,
      epochs: epochs[i],
      trains: [{ portion }],
    };
  });
  return [{ ...plainStage(run), epochs: free }, ...frozen];
}

function portionProblems({ portions }: Options): readonly string[] {
  const got = `got ${JSON.stringify(portions)}`;
  if (!portions.every((portion, i) => i === 0 || portion > portions[i - 1])) {
    return [`method.portions: must rise, since frozen weights stay frozen, and end at 1; ${got}`];
  }
  return portions.at(-1) === 1
    ? []
    : [`method.portions: must rise and end at 1, else the network is not quantised; ${got}`];
}

export const inqMethod = defineMethod({
  kind: "inq",
  schema,
  word: ({ bits }) => `${bits}-bit`,
  check: (options, { epochs }) => [
    ...portionProblems(options),
    ...stageProblems("inq", epochs, {
      shares: sharesOf(options),
      instead: `fewer method.portions${options.pretrain > 0 ? "; method.pretrain=0 is a stage less" : ""}`,
    }),
  ],
  phases: (options, run) => trainingProgram(run, { stages: stagesOf(options, run) }),
  create: (options) => ({
    binarizesInput: false,
    block: commonBlock,
    body: quantisedBody({
      form: { kind: "float" },
      companions: ({ out, kernel, in: input }) => [
        { name: "frozen", role: "state", shape: [out, kernel, kernel, input] },
        { name: "n1", role: "state", shape: [1] },
      ],
    }),
    rule: {
      companion: (name, { weight }) => new Float32Array(name === "frozen" ? weight.length : 1),
      gradients: (_, gradient) => ({ weight: gradient.slice(), learned: {}, losses: {} }),
      settle: restore,
      readsPrevious: true,
      begin: (layer, { trains }) => {
        const portion = Math.max(0, ...trains.map((one) => one.portion ?? 0));
        freeze(layer, { portion, bits: options.bits, ties: options.ties });
      },
    },
  }),
});

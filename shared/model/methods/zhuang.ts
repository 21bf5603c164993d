// Low-bitwidth training (Zhuang et al., CVPR 2018): DoReFa-Net's quantisers, reached in stages: weights first, then
// activations; or both from many bits to few. Their guide, a network in full precision, is the run's objective.

import { z } from "zod";
import { bitsOrFloat, FLOAT_BITS } from "./bit-counts.ts";
import { dorefa, dorefaShape, dorefaWord } from "./dorefa.ts";
import { defineMethod, type MethodRun } from "./method.ts";
import { plainStage, type Stage, shareEpochs, stageProblems, trainingProgram } from "./programs.ts";

/** Networks of a run before the last one: more than there are numbers of bits. */
const MOST_STAGES = 8;

const schema = z.strictObject({
  kind: z.literal("zhuang"),
  ...dorefaShape,
  weightBits: bitsOrFloat.default(2).describe("of W at the end; 32: as it is"),
  activationBits: bitsOrFloat.default(2).describe("of a layer's input at the end, in [0, 1]; 32: as it is"),
  stages: z
    .enum(["two-stage", "progressive", "direct"])
    .default("two-stage")
    .describe("weights first, then activations, too; both from many bits to few; everything from the start"),
  progression: z
    .array(bitsOrFloat)
    .min(1)
    .max(MOST_STAGES)
    .default([32, 8, 4])
    .describe("with `progressive`, bits of both before those at the end, each fewer than the ones before"),
});
type Options = z.output<typeof schema>;

/** What a stage is called, and its bits. */
interface Bits {
  readonly name: string;
  readonly weightBits: number;
  readonly activationBits: number;
}

/** The stages before the last. */
function before({ stages, weightBits, activationBits, progression }: Options): readonly Bits[] {
  switch (stages) {
    case "direct":
      return [];
    case "two-stage":
      return [{ name: "weights", weightBits, activationBits: FLOAT_BITS }];
    case "progressive":
      // Never fewer bits than at the end.
      return progression.map((bits) => ({
        name: `bits-${bits}`,
        weightBits: Math.max(bits, weightBits),
        activationBits: Math.max(bits, activationBits),
      }));
    default:
      return stages satisfies never;
  }
}

/** Bits that fall and are more than the end's: else two stages were one, or the last one's. */
function progressionProblems({ stages, weightBits, activationBits, progression }: Options): readonly string[] {
  const end = Math.min(weightBits, activationBits);
  if (stages !== "progressive" || [...progression, end].every((bits, i) => i === 0 || bits < progression[i - 1])) {
    return [];
  }
  const fit = [...new Set(progression.filter((bits) => bits > end))].sort((a, b) => b - a);
  const instead = fit.length > 0 ? `method.progression=${JSON.stringify(fit)}` : "method.stages=direct";
  return [
    `method.progression: must fall, each more than the ${end} bits at the end; got ${JSON.stringify(progression)} (set ${instead})`,
  ];
}

/** Equal ones (ours: the authors train each stage as long as another method's whole run). */
function sharesOf(options: Options): readonly number[] {
  return [...before(options).map(() => 1), 1];
}

function stagesOf(options: Options, run: MethodRun): readonly Stage[] {
  const first = before(options);
  const epochs = shareEpochs(run.epochs, sharesOf(options));
  const earlier = first.map(({ name, weightBits, activationBits }, at): Stage => {
    const bits = `${weightBits}-bit weights and ${activationBits}-bit activations`;
    return {
      name,
      title: bits,
      doing: `training ${bits}`,
      epochs: epochs[at],
      network: { title: `network of ${bits}`, options: { weightBits, activationBits } },
    };
  });
  return [...earlier, { ...plainStage(run), epochs: epochs[first.length] }];
}

export const zhuangMethod = defineMethod({
  kind: "zhuang",
  schema,
  word: dorefaWord,
  objective: () => ({ kind: "guided" }),
  check: (options, { epochs }) => [
    ...progressionProblems(options),
    ...stageProblems("zhuang", epochs, {
      shares: sharesOf(options),
      instead: options.stages === "progressive" ? "a shorter method.progression" : "method.stages=direct",
    }),
  ],
  phases: (options, run) => trainingProgram(run, { stages: stagesOf(options, run) }),
  create: dorefa,
});

// RBCN with soft masks that prune its filters (Liu et al.; section 3.6.3 of the textbook in README.md): M_o times the
// output of each filter, drawn to 0 by FISTA as in GAL (Lin et al., CVPR 2019). A batch norm right behind M would undo
// it, so that no filter could be told from another: M stands behind the norm unless the run says otherwise.

import { z } from "zod";
import type { GraphBuilder, NodeId } from "../graph.ts";
import { TEACHER } from "../objectives/objective.ts";
import type { MethodProgram } from "../phases.ts";
import { companionOf, defineMethod, type LayerName, type Method, type MethodRun } from "./method.ts";
import { MOST_SHARE, plainStage, type Stage, shareEpochs, stageProblems, trainingProgram } from "./programs.ts";
import { besideName } from "./quantised-body.ts";
import { byAblation, MOST_LAMBDA, rbcn, rbcnSchema } from "./rbcn.ts";
import { fistaStep } from "./soft-mask.ts";

/** Steps between two of the masks': more than any pass has that they are meant for. */
const MOST_INTERVAL = 10_000;

const KIND = "rbcn-pruned";
/** Of the unpruned network that the pruned one starts from. */
const BASELINE = "baseline";
/** Layers with something to train but for masks, which are of `gamma`. */
const beyondMasks = ["conv", "rbconv", "batchnorm", "activation", "linear"];

const share = z.number().min(0).max(MOST_SHARE);
const schema = rbcnSchema.extend({
  kind: z.literal(KIND),
  lambdaMask: z
    .number()
    .min(0)
    .max(MOST_LAMBDA)
    .default(3e-3)
    .describe("weight of the masks' L1 penalty (ours: GAL's 0.6 over its interval of 200)"),
  maskInterval: z
    .int()
    .min(1)
    .max(MOST_INTERVAL)
    .default(1)
    .describe("steps between two of the masks (ours; GAL steps them every 200 batches)"),
  pruned: z.boolean().default(true).describe("false: without masks, as the network that they are compared with"),
  pretrain: share
    .default(0.5)
    .describe("of the run's epochs: an unpruned network trains first, and the pruned one starts from it (ours)"),
  fineTune: share.default(0).describe("of the run's epochs, at its end: masks stay as they are (ours; GAL fine-tunes)"),
  against: z
    .enum(["baseline", "teacher"])
    .default("baseline")
    .describe("what the objective compares the pruned network with: the unpruned one, as published, or the teacher"),
  maskPlace: z
    .enum(["norm", "convolution"])
    .default("norm")
    .describe(
      "masks scale the layer's normalised map (ours; GAL scales a structure's output), or the convolution's output, as printed, which the norm behind it undoes",
    ),
  maskNonNegative: z.boolean().default(true).describe("masks stay at 0 or above, as in GAL's code"),
});
type Options = z.output<typeof schema>;

/** M_o times a map; M is that of the layer. */
function masked(graph: GraphBuilder, layer: LayerName, input: NodeId): NodeId {
  const { name, weights = name } = layer;
  return graph.add({ op: "gamma", ...besideName(layer, "gamma"), axes: ["c"], of: weights, input });
}

function pruned(options: Options): Method {
  if (!options.pruned) return { ...rbcn(options), kind: KIND };
  const base = rbcn(options, ({ out }) => [
    { name: "before", role: "state", shape: [out] },
    { name: "momentum", role: "state", shape: [1] },
    { name: "waited", role: "state", shape: [1] },
  ]);
  const { rule } = base;
  if (!rule) throw new RangeError("rbcn has no rule");
  const { lambdaMask, maskInterval, maskNonNegative, maskPlace } = options;
  return {
    ...base,
    kind: KIND,
    ...(maskPlace === "norm"
      ? { afterNorm: masked }
      : { body: (graph, layer) => masked(graph, layer, base.body(graph, layer)) }),
    rule: {
      ...rule,
      companion: (name, layer) => {
        switch (name) {
          case "mask":
          case "before":
            return new Float32Array(layer.shape[0]).fill(1);
          case "momentum":
            return Float32Array.of(1);
          case "waited":
            return Float32Array.of(0);
          default:
            return rule.companion(name, layer);
        }
      },
      learn: {
        mask: (layer, gradient, learningRate) => {
          const [mask, before, momentum, waited] = ["mask", "before", "momentum", "waited"].map((name) =>
            companionOf(layer, name),
          );
          waited[0] += 1;
          if (waited[0] < maskInterval) return;
          waited[0] = 0;
          fistaStep(mask, before, momentum, {
            gradient,
            learningRate,
            lambda: lambdaMask,
            nonNegative: maskNonNegative,
          });
        },
      },
    },
  };
}

/** Of the epochs: before pruning, pruning, after it. */
function sharesOf({ pretrain, fineTune }: Options): readonly number[] {
  return [pretrain, 1 - pretrain - fineTune, fineTune];
}

/** The unpruned network, the pruned one, and that without its masks' steps. */
function stagesOf(options: Options, run: MethodRun): readonly Stage[] {
  const [before, pruning, tuning] = shareEpochs(run.epochs, sharesOf(options));
  return [
    {
      name: BASELINE,
      title: "unpruned 1-bit network",
      doing: "training the 1-bit network that is pruned next",
      epochs: before,
      network: { title: "unpruned 1-bit network", options: { pruned: false } },
    },
    { ...plainStage(run), epochs: pruning },
    {
      name: "fine-tune",
      title: "fine-tuning",
      doing: "training the pruned 1-bit network under masks that stay",
      epochs: tuning,
      trains: [{ layers: beyondMasks }],
    },
  ];
}

/** The same program, whose student is compared with the unpruned network wherever it was with the teacher. */
function againstBaseline(program: MethodProgram): MethodProgram {
  const { outline } = program;
  if (!outline.networks.some(({ name }) => name === BASELINE)) return program;
  const other = (name: string) => (name === TEACHER ? BASELINE : name);
  const phases = outline.phases.map((phase) =>
    phase.network === outline.primary
      ? {
          ...phase,
          needs: phase.needs.map(other),
          losses: phase.losses.map((loss) =>
            loss.teacher === undefined ? loss : { ...loss, teacher: other(loss.teacher) },
          ),
        }
      : phase,
  );
  return { ...program, outline: { ...outline, phases } };
}

export const rbcnPrunedMethod = defineMethod({
  kind: KIND,
  schema,
  ...byAblation,
  check: (options, run) => [
    ...byAblation.check(options, run),
    ...(options.pretrain + options.fineTune > MOST_SHARE
      ? [
          `method.fineTune: with pretrain it must take at most ${MOST_SHARE} of the epochs, the rest is pruning's; got ${options.pretrain} and ${options.fineTune}`,
        ]
      : stageProblems(KIND, run.epochs, {
          shares: sharesOf(options),
          instead:
            options.fineTune > 0 ? "method.fineTune=0 or method.pretrain=0, each a stage less" : "method.pretrain=0",
        })),
  ],
  phases: (options, run) => {
    const program = trainingProgram(run, { stages: stagesOf(options, run) });
    return options.against === "baseline" ? againstBaseline(program) : program;
  },
  create: pruned,
});

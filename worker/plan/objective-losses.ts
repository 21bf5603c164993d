// Records the terms of an objective that compare a network with another one, frozen or trained beside it: their values,
// and what they add to the gradients of both sides.

import { scale } from "../../kernels/layers/scale.ts";
import { collectLoss, LOSS_STRIDE } from "../../kernels/losses/collect-loss.ts";
import { softTargetLoss } from "../../kernels/losses/soft-target-loss.ts";
import { squaredDistance } from "../../kernels/losses/squared-distance.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Graph, NodeId, Shape } from "../../shared/model/graph.ts";
import type { Loss, Phase } from "../../shared/model/phases.ts";
import { type LaunchList, type Ref, slice } from "./launch-list.ts";
import type { NodeGradients } from "./node-gradients.ts";
import type { RecordedLoss } from "./task-loss.ts";

/** One of two networks that a term compares. */
export interface ComparedSide {
  readonly graph: Pick<Graph, "shapes" | "output" | "maps">;
  readonly value: (node: NodeId) => Ref;
  /** The task's loss of it; its gradient is where terms of the output add theirs. Absent of a frozen network. */
  readonly task?: RecordedLoss;
  /** Gradients of its nodes; absent of a frozen network. */
  readonly gradients?: NodeGradients;
}

/** What a term came to: values f32 [terms][64], of which the first counts, whose scaled sum the metrics have. */
interface Term {
  readonly values: Ref;
  readonly terms: number;
  readonly scale: number;
}

/** Kinds of terms that compare outputs or maps, and the twin's own. */
const known = ["soft", "divergence", "teacher-divergence", "logits", "features", "teacher-task"] as const;
type Kind = (typeof known)[number];

function kindOf({ kind }: Loss): Kind | undefined {
  return known.find((one) => one === kind);
}

/** Whether this build computes a term of a phase. */
export function isKnownLoss(loss: Loss): boolean {
  const { kind, teacher, partner } = loss;
  switch (kindOf(loss)) {
    case "teacher-task":
    case "teacher-divergence":
      return partner !== undefined;
    case "soft":
    case "divergence":
    case "logits":
    case "features":
      return (teacher === undefined) !== (partner === undefined);
    case undefined:
      return kind === "task" || kind === "method" || (kind === "adversarial" && teacher !== undefined);
  }
}

/** Terms of a phase that compare its network with another one, in its order. */
export function comparedLosses({ losses }: Pick<Phase, "losses">): readonly Loss[] {
  return losses.filter((loss) => kindOf(loss) !== undefined);
}

/** Whether a term looks at the other network's output. */
export function comparesOutputs(loss: Loss): boolean {
  return kindOf(loss) !== "features";
}

/** The nodes whose outputs terms look at beside the network's own output. */
export function readMaps(losses: readonly Loss[], graph: Graph): ReadonlySet<NodeId> {
  return new Set(
    losses.filter((loss) => !comparesOutputs(loss)).flatMap((loss) => mapsOf(loss, graph).map(({ node }) => node)),
  );
}

/** The maps that a term of feature maps compares. */
function mapsOf({ options = {} }: Loss, { maps }: ComparedSide["graph"]): readonly { readonly node: NodeId }[] {
  return options.last ? maps.slice(-1) : maps;
}

/** The task's gradient times the task's weight, where it stands. */
export function weighTask(list: LaunchList, { gradient }: RecordedLoss, weight: number): void {
  if (weight !== 1) list.run(scale({ size: gradient.bytes / 4, factor: weight }), { y: gradient });
}

function rowsOf({ h, w, c }: Shape, n: number): { readonly rows: number; readonly classes: number } {
  return { rows: n * h * w, classes: c };
}

function recordTerm(
  list: LaunchList,
  loss: Loss,
  weight: number,
  n: number,
  own: ComparedSide,
  other: ComparedSide,
): Term {
  const { options = {} } = loss;
  const kind = kindOf(loss);
  const output = (side: ComparedSide) => side.value(side.graph.output);
  const { rows, classes } = rowsOf(own.graph.shapes[own.graph.output], n);
  const gradientOf = ({ task }: ComparedSide): Ref => {
    if (!task) throw new RangeError(`the ${loss.kind} loss trains a network that is frozen`);
    return task.gradient;
  };
  const one = (): Term => ({ values: list.tensor(1), terms: 1, scale: weight });
  const softened = (of: "cross-entropy" | "divergence", learner: ComparedSide, targets: ComparedSide): Term => {
    const term = one();
    const targetGradient = options.targetGradient === 1;
    const reduce = options.element === 1 ? "element" : "batch";
    list.run(
      softTargetLoss({
        rows,
        classes,
        temperature: options.temperature ?? 1,
        kind: of,
        reduce,
        weight,
        targetGradient,
      }),
      {
        logits: output(learner),
        targets: output(targets),
        dlogits: gradientOf(learner),
        ...(targetGradient && { dtargets: gradientOf(targets) }),
        loss: term.values,
      },
    );
    return term;
  };
  switch (kind) {
    case "soft":
      return softened("cross-entropy", own, other);
    case "divergence":
      return softened("divergence", own, other);
    case "teacher-divergence":
      return softened("divergence", other, own);
    case "teacher-task": {
      if (!other.task) throw new RangeError("a frozen network has no loss of its own");
      return { values: slice(other.task.metrics, 0, 1), terms: 1, scale: weight };
    }
    case "logits": {
      const term = one();
      const otherGradient = other.task !== undefined;
      const size = rows * classes;
      const distance = { size, factor: 1 / size, weight, bits: 0, otherGradient };
      list.run(squaredDistance({ ...distance, accumulate: true, accumulateOther: true }), {
        x: output(own),
        other: output(other),
        dx: gradientOf(own),
        ...(otherGradient && { dother: gradientOf(other) }),
        loss: term.values,
      });
      return term;
    }
    case "features":
      return recordMaps(list, loss, weight, n, own, other);
    case undefined:
      throw new RangeError(`${loss.kind} compares nothing`);
  }
}

/** λ/2n·‖φ − Q(φ_other)‖² of each map, and the mean over maps. */
function recordMaps(
  list: LaunchList,
  loss: Loss,
  weight: number,
  n: number,
  own: ComparedSide,
  other: ComparedSide,
): Term {
  const [maps, others] = [own, other].map((side) => mapsOf(loss, side.graph));
  const values = list.tensor(maps.length * LOSS_STRIDE);
  const bits = loss.options?.bits ?? 0;
  const mean = 1 / maps.length;
  maps.forEach(({ node }, i) => {
    const compared = others[i].node;
    const { h, w, c } = own.graph.shapes[node];
    const size = n * h * w * c;
    const distance = { size, factor: 0.5 / n, weight: weight * mean, bits };
    const refs = { x: own.value(node), other: other.value(compared), loss: slice(values, i * LOSS_STRIDE, 1) };
    own.gradients?.contribute(node, (dx, accumulate) => {
      if (!other.gradients) {
        list.run(squaredDistance({ ...distance, otherGradient: false, accumulate }), { ...refs, dx });
        return;
      }
      other.gradients.contribute(compared, (dother, accumulateOther) => {
        const both = squaredDistance({ ...distance, otherGradient: true, accumulate, accumulateOther });
        list.run(both, { ...refs, dx, dother });
      });
    });
  });
  return { values, terms: maps.length, scale: weight * mean };
}

export interface ObjectiveSite {
  /** Terms that compare the network with another one. */
  readonly losses: readonly Loss[];
  readonly n: number;
  readonly own: ComparedSide;
  /** The network that a term compares with. */
  readonly other: (loss: Loss) => ComparedSide;
  readonly metrics: Ref;
  /** Of the first term in the metrics. */
  readonly at: number;
  /** Of a term in the pass. */
  readonly weightOf: (loss: Loss) => number;
}

/**
 * Records terms in their order: gradients on both sides, and each term, times its weight, at its place in the metrics.
 */
export function recordObjective(list: LaunchList, site: ObjectiveSite): void {
  const { losses, n, own, other, metrics, at, weightOf } = site;
  losses.forEach((loss, i) => {
    const { values, terms, scale: factor } = recordTerm(list, loss, weightOf(loss), n, own, other(loss));
    list.run(collectLoss({ at: at + i, terms, scale: factor }), { terms: values, metrics });
  });
}

/** @throws MESSAGE_INVALID for a loss that this build cannot compute */
export function requireKnown({ name, losses, partners }: Pick<Phase, "name" | "losses" | "partners">): void {
  const unknown = losses.find((loss) => !isKnownLoss(loss));
  if (unknown) {
    const { kind, weight } = unknown;
    throw new BitswarmError(
      "MESSAGE_INVALID",
      `phase ${name} has a ${kind} loss of weight ${weight}; this build computes task, method, adversarial (against a teacher), and ${known.join(", ")} (against a teacher or a twin): update it`,
    );
  }
  if (partners.length > 1) {
    throw new BitswarmError(
      "MESSAGE_INVALID",
      `phase ${name} has ${partners.length} partners; this build trains one beside a network: update it`,
    );
  }
}

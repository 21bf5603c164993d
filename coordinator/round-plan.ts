// What a round computes, fixed before anybody joins it: kind, positions, parameters, layout, units. Leases only cut it up.

import { type ContributionLayout, contributionLayout, type RoundKind } from "../shared/contribution.ts";
import type { Split } from "../shared/dataset.ts";
import { encodeFrame, frameHeaderBytes } from "../shared/frame.ts";
import type { Range } from "../shared/intervals.ts";
import { type NetworkName, roundManifest, usesGan } from "../shared/networks.ts";
import { placeOf, type StepPlace } from "../shared/program.ts";
import type { LeaseMessage } from "../shared/protocol.ts";
import { wireLayout } from "../shared/wire-layout.ts";
import { exponentsFor } from "./exponents.ts";
import { learningRateAt } from "./learning-rate.ts";
import type { Lease } from "./round-state.ts";
import { type TrainingState, wireBlob } from "./training-state.ts";

/** Parameters of one network, ready to be sent: the same bytes to every session. */
export interface ParametersFrame {
  readonly network: NetworkName;
  /** SHA-256 of the blob, as hex. */
  readonly hash: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The part of a lease message that all leases of a round share. */
type LeaseTerms = Omit<LeaseMessage, "type" | "lease" | "from" | "to">;

export interface RoundPlan {
  readonly range: Range;
  readonly terms: LeaseTerms;
  readonly layout: ContributionLayout;
  readonly parameters: ParametersFrame;
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
}

/** What a plan needs to know of the run. */
export interface PlanContext {
  readonly state: TrainingState;
  readonly runTag: string;
  /** Number of the round, from 1. */
  readonly round: number;
  /** Names what workers' error feedback belongs to (protocol.ts). */
  readonly era: number;
}

interface RoundSubject {
  readonly kind: RoundKind;
  readonly network: NetworkName;
  readonly pass: number;
  readonly epoch: number;
  readonly split: Split;
  readonly range: Range;
  readonly lambdaAdversarial: number;
}

function planOf({ state, runTag, round, era }: PlanContext, subject: RoundSubject): RoundPlan {
  const { config, networks, step } = state;
  const { kind, network, pass, epoch, split, range, lambdaAdversarial } = subject;
  const layout = contributionLayout(roundManifest(networks, kind, network), kind, config.sync.kind);
  const blob = wireBlob(state, network);
  const frame = encodeFrame(
    {
      kind: "parameters",
      codec: "none",
      round,
      lease: 0,
      samples: 0,
      tensors: 0,
      run: runTag,
      parametersHash: blob.hash,
    },
    blob.bytes,
  );
  return {
    range,
    layout,
    runTag,
    parameters: { network, hash: blob.hash, bytes: frame },
    terms: {
      kind,
      network,
      step,
      round,
      pass,
      epoch,
      split,
      parametersHash: blob.hash,
      lambdaAdversarial,
      ...(config.sync.kind === "local" && kind !== "evaluate"
        ? { innerLearningRate: learningRateAt(config, state.program, network, step) }
        : {}),
      codec: config.codec,
      era,
      exponents: exponentsFor(state, kind, layout),
      timeoutMs: config.lease.timeoutMs,
      teacherHash: kind === "student" && usesGan(config) ? wireBlob(state, "teacher").hash : null,
    },
  };
}

/** The round of the state's next step, and the step's place in the program. */
export function planStep(context: PlanContext): { readonly plan: RoundPlan; readonly place: StepPlace } {
  const { program, step, config } = context.state;
  const place = placeOf(program, step, config.batch);
  const { from, to, pass } = place;
  const { kind, network, epoch, lambdaAdversarial, index } = pass;
  const range = { from, to };
  return {
    place,
    plan: planOf(context, { kind, network, pass: index, epoch, split: "train", range, lambdaAdversarial }),
  };
}

/** The round that evaluates a network on the whole test split after the state's last step. */
export function planEvaluation(context: PlanContext, network: NetworkName): RoundPlan {
  const { program, step, config, dataset } = context.state;
  const { pass } = placeOf(program, Math.max(0, step - 1), config.batch);
  return planOf(context, {
    kind: "evaluate",
    network,
    pass: pass.index,
    epoch: pass.epoch,
    split: "test",
    range: { from: 0, to: dataset.test.samples },
    lambdaAdversarial: 0,
  });
}

export function leaseMessage({ terms }: RoundPlan, { lease, from, to }: Lease): LeaseMessage {
  return { type: "lease", lease, from, to, ...terms };
}

/** Bytes of a whole contribution frame in this layout. */
function frameBytes(layout: ContributionLayout, codec: LeaseMessage["codec"]): number {
  return frameHeaderBytes + 4 * layout.tensors.length + wireLayout(layout, codec).bytes;
}

/** Bytes of the largest contribution frame that any round of this run can bring: what is larger is refused unread. */
export function contributionLimit({ config, networks, program }: TrainingState): number {
  const rounds = program.passes.flatMap(({ kind, network }) => [
    { kind, network },
    { kind: "evaluate" as const, network },
  ]);
  const sizes = rounds.map(({ kind, network }) => {
    return frameBytes(contributionLayout(roundManifest(networks, kind, network), kind, config.sync.kind), config.codec);
  });
  return Math.max(...sizes);
}

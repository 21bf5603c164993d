// What a round computes, fixed before anybody joins it: phase, positions, parameters, layout, units. Leases only cut it
// up.

import type { Range } from "../../shared/base/intervals.ts";
import type { Split } from "../../shared/data/dataset.ts";
import { type Phase, phaseNamed } from "../../shared/model/phases.ts";
import type { Networks } from "../../shared/run/networks.ts";
import { type Program, placeOf, restingNetworks, type StepPlace } from "../../shared/run/program.ts";
import { type ContributionLayout, phaseLayout } from "../../shared/wire/contribution.ts";
import { payloadHeadBytes } from "../../shared/wire/contribution-payload.ts";
import { frameHeaderBytes } from "../../shared/wire/frame.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { sealMode } from "../round/deadline.ts";
import type { Lease } from "../round/lease.ts";
import type { Ledger } from "../round/ledger.ts";
import { learningRateAt } from "../state/learning-rate.ts";
import type { RunProgress } from "../state/training-state.ts";
import type { ParameterVersion } from "./parameter-version.ts";
import type { WireParameters } from "./training.ts";

/** The part of a lease message that all leases of a round share. */
type LeaseTerms = Omit<LeaseMessage, "type" | "lease" | "ranges">;

export interface RoundPlan {
  /** Positions to compute, in the order in which they are leased: what was carried over first. */
  readonly ranges: readonly Range[];
  /** Samples of the round of which this is a gateway's part; these alone unless given. */
  readonly whole?: number;
  /** Whether what is late may be left to a later round. */
  readonly mayLeave: boolean;
  /** Leases are inner steps of replicas, so that a worker's share is one lease. */
  readonly local: boolean;
  readonly terms: LeaseTerms;
  readonly layout: ContributionLayout;
  /** Everything that a lease of this round names and that comes in frames, by their names. */
  readonly parameters: readonly ParameterVersion[];
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
}

/** What a plan needs to know of the run. */
export interface PlanContext {
  readonly progress: RunProgress;
  readonly runTag: string;
  /** Number of the round, from 1. */
  readonly round: number;
  /** Names what workers' error feedback belongs to (protocol.ts). */
  readonly era: number;
}

/** A round before it is known what travels in it. */
export interface RoundSubject {
  readonly phase: Phase;
  readonly pass: number;
  readonly epoch: number;
  readonly split: Split;
  readonly ranges: readonly Range[];
  readonly mayLeave: boolean;
  /** Of each loss of the phase, by kind. */
  readonly weights: Readonly<Record<string, number>>;
}

/** @param parameters what the versions of `wire` are to the workers */
export function planOf(
  { progress, runTag, round, era }: PlanContext,
  subject: RoundSubject,
  { versions, frozen, exponents }: WireParameters,
  parameters: readonly ParameterVersion[],
): RoundPlan {
  const { config, networks, program, step } = progress;
  const { phase, pass, epoch, split, ranges, mayLeave, weights } = subject;
  const { network } = phase;
  const layout = phaseLayout(networks, phase, config.sync.kind);
  const innerLearningRate =
    config.sync.kind === "local" && !phase.evaluate ? learningRateAt(config, program, step) : undefined;
  const hashOf = (set: ParameterSet) => {
    const hash = versions.find((version) => version.set === set)?.hash;
    if (hash === undefined) throw new RangeError(`round ${round} computes the ${set}, which it was not given`);
    return hash;
  };
  return {
    ranges,
    mayLeave,
    local: innerLearningRate !== undefined,
    layout,
    runTag,
    parameters,
    terms: {
      phase: phase.name,
      network,
      step,
      round,
      pass,
      epoch,
      split,
      parametersHash: hashOf(network),
      partners: Object.fromEntries(phase.partners.map((set) => [set, hashOf(set)])),
      weights: { ...weights },
      ...(innerLearningRate === undefined ? {} : { innerLearningRate }),
      codec: config.codec,
      era,
      exponents: [...exponents],
      timeoutMs: config.lease.timeoutMs,
      frozen: Object.fromEntries(frozen.map((one) => [one.network, one.hash])),
    },
  };
}

/** What the next step computes, and its place in the program. `ledger` knows what is carried over to it. */
export function stepSubject(
  { program, step, config }: RunProgress,
  ledger: Pick<Ledger, "carried">,
): { readonly subject: RoundSubject; readonly place: StepPlace } {
  const place = placeOf(program, step, config.batch);
  const { from, to, pass } = place;
  const { epoch, weights, index } = pass;
  const ranges = [...ledger.carried(place), { from, to }];
  // The last step of a pass has nobody to leave anything to.
  const mayLeave = !place.last && sealMode(config) === "deadline";
  const phase = phaseNamed(program, pass.phase);
  const subject = { phase, pass: index, epoch, ranges, mayLeave, weights } as const;
  return { place, subject: { ...subject, split: "train" } };
}

/** A network on the whole test split, after the last step. @param phase that evaluates it */
export function evaluationSubject({ program, step, config, dataset }: RunProgress, phase: Phase): RoundSubject {
  const { pass } = placeOf(program, Math.max(0, step - 1), config.batch);
  return {
    phase,
    pass: pass.index,
    epoch: pass.epoch,
    split: "test",
    ranges: [{ from: 0, to: dataset.test.samples }],
    mayLeave: false,
    weights: Object.fromEntries(phase.losses.map(({ kind, weight }) => [kind, weight])),
  };
}

/**
 * @param ranges positions of the pass
 * @param feedbackResets below 256: with another number than in the worker's lease before, its error feedback is void
 */
export function leaseMessage(
  { terms }: RoundPlan,
  { lease }: Pick<Lease, "lease">,
  ranges: readonly Range[],
  feedbackResets = 0,
): LeaseMessage {
  return { type: "lease", lease, ranges: [...ranges], ...terms, era: terms.era + feedbackResets };
}

/** Bytes of a whole contribution frame in this layout. */
function frameBytes(layout: ContributionLayout, codec: LeaseMessage["codec"]): number {
  return frameHeaderBytes + payloadHeadBytes(layout.tensors.length) + wireLayout(layout, codec).bytes;
}

/** Bytes of a contribution frame of this round. */
export function contributionBytes({ layout, terms }: Pick<RoundPlan, "layout" | "terms">): number {
  return frameBytes(layout, terms.codec);
}

/** Bytes of the largest contribution frame that any round of this run can bring: what is larger is refused unread. */
export function contributionLimit({
  config,
  networks,
  program,
}: Pick<RunProgress, "config" | "networks" | "program">): number {
  const sizes = program.phases.map((phase) => frameBytes(phaseLayout(networks, phase, config.sync.kind), config.codec));
  return Math.max(...sizes);
}

/** Parameter sets of networks that no round in sight computes: what was encoded of them is not kept. */
export function restingSets(
  networks: Networks,
  program: Program,
  step: number,
  network: string,
): readonly ParameterSet[] {
  return restingNetworks(program, step, network).flatMap((name) => [name, ...Object.keys(networks[name].partners)]);
}

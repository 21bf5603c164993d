// What the engine asks of whoever holds the numbers of a run: sums, parameters, optimizer. A small run's are in the
// engine's own thread, a large one's in a thread of their own, so that sockets, pings and deadlines never wait for
// them.

import type { Refusal } from "../../shared/base/errors.ts";
import type { StepPlace } from "../../shared/run/program.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { CheckpointContents } from "../checkpoint/checkpoint-contents.ts";
import type { Lease } from "../round/lease.ts";
import type { LayerNumbers } from "../state/layer-numbers.ts";
import type { StateParts } from "../state/training-state.ts";
import type { StepLoss } from "../state/update.ts";
import type { MetricMeans } from "../sum/aggregate.ts";
import type { Comparison } from "../sum/comparison.ts";
import type { HeldWork } from "../sum/contribution.ts";
import type { GroupNorms } from "../sum/gradient-norms.ts";
import type { AuditedWork } from "../sum/open-round.ts";
import type { PartialFacts } from "../sum/partial.ts";
import type { EncodedVersion } from "./downlink-encoder.ts";

export interface ParametersRequest extends Pick<LeaseMessage, "phase" | "round"> {
  /** Hashes of what whoever asks holds already of each set. */
  readonly holds: Readonly<Record<ParameterSet, string>>;
  /** Hashes of the packed networks that whoever asks holds, by name. */
  readonly frozen: Readonly<Record<string, string>>;
}

/** A network that a round needs and does not train, packed. */
export interface FrozenNetwork {
  readonly network: string;
  readonly hash: string;
  /** Null where whoever asks holds it. */
  readonly bytes: Uint8Array<ArrayBuffer> | null;
}

/** What a round begins with. */
export interface WireParameters {
  /** The network's, and those of the partners that take part. */
  readonly versions: readonly EncodedVersion[];
  readonly frozen: readonly FrozenNetwork[];
  /** Unit 2^e of each tensor of the round's layout. */
  readonly exponents: readonly number[];
}

/** What contributions to a round must name, and how they are summed. */
export type SumTerms = Pick<LeaseMessage, "phase" | "round" | "parametersHash" | "codec" | "exponents" | "era">;

/** Whose a contribution is, and where its range starts: rounds that are combined robustly keep accounts apart. */
export type PartOf = Pick<Lease, "account" | "from">;

/** What a look at the bytes of a contribution says. */
export type CheckedFrame =
  /** They are no frame. */
  | ({ readonly kind: "unreadable" } & Refusal)
  /** A frame that the open round cannot take, or there is none. */
  | ({ readonly kind: "unfit"; readonly lease: number; readonly samples: number } & Refusal)
  /** It lies in its slot. */
  | {
      readonly kind: "sound";
      readonly lease: number;
      readonly samples: number;
      /** Of the samples that its worker decoded. */
      readonly checksum: number;
      readonly norms: GroupNorms;
    };

/** Two contributions to one range, compared in either order: a ratio of norms is not the same both ways. */
export type ComparedPair = readonly [ab: Comparison, ba: Comparison];

export interface SealedSum {
  readonly samples: number;
  readonly metrics: MetricMeans;
}

export interface StepResult {
  readonly loss: StepLoss;
  /** The task's, on the step's own samples. */
  readonly score: number;
  /** Of the trained network, after the step. */
  readonly paramsHash: string;
  /** What the step did to each layer; absent where it was not measured. */
  readonly layers?: LayerNumbers;
}

/**
 * Answers come in the order of the questions. Whatever it throws for a peer's or a person's fault is a BitswarmError.
 */
export interface Training {
  /** What is asked is done at once: nobody need be told of the time between. */
  readonly inline: boolean;
  /** Resolves where nothing more will be answered. */
  readonly failure: Promise<Error>;
  parameters(request: ParametersRequest): Promise<WireParameters>;
  /** Begins a round's sum; that of the round before is forgotten. */
  open(terms: SumTerms): void;
  /** The bytes must stay as they are. @param slot of the reduction's memory, in which nothing waits */
  check(slot: number, bytes: Uint8Array): Promise<CheckedFrame>;
  /** Adds what lies in a slot; `scale` as Reduction.commit. */
  commit(slot: number, scale: number, of: PartOf): void;
  /** Adds a contribution that was checked before. */
  add(work: HeldWork, of: PartOf): void;
  /** Compares two contributions to the open round that were checked before. */
  compare(a: AuditedWork, b: AuditedWork): Promise<ComparedPair>;
  /** The frame of all that is in the open sum; see `sum/partial.ts`. */
  partial(facts: PartialFacts): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Reads and checks a partial of the open round, of this key, and resolves with what it says beside its sums; it is
   * kept under the number until it is added, or the next round opens. @throws as readPartial(), CONTRIBUTION_MISMATCH
   */
  checkPartial(number: number, key: string, bytes: Uint8Array): Promise<PartialFacts>;
  /** Adds what checkPartial() has kept; nothing may have been sealed since. */
  commitPartial(number: number): void;
  /** Ends the sum, which must not be empty. */
  seal(): Promise<SealedSum>;
  /** Makes the step of the sealed sum. @throws GRADIENT_NOT_FINITE */
  apply(place: StepPlace): Promise<StepResult>;
  parametersHash(network: string): Promise<string>;
  checkpoint(run: string): Promise<CheckpointContents>;
  /** Goes back to what these parts, taken over, are of; the open round is forgotten. */
  restore(parts: StateParts): Promise<void>;
  close(): Promise<void>;
}

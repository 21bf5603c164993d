// What the session needs of a device and its trainer: parameters in, a lease's contribution out. They own the GPU, the
// session owns the socket; neither names WebGPU here, so that a session runs over devices that are none.

import type { Dataset } from "../../shared/data/dataset.ts";
import type { CanaryLayer } from "../../shared/model/canary.ts";
import type { Outline } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { MicrobatchInput } from "../../shared/samples/microbatch.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { AdapterDescription, LeaseMessage } from "../../shared/wire/protocol.ts";
import type { TuningEvent } from "../tuning/tuning-event.ts";
import type { DutyCycle } from "./duty-cycle.ts";

/** The answer to a lease, ready for a contribution frame. */
export interface LeaseResult {
  readonly samples: number;
  /**
   * Largest |gradient · samples| of each tensor over the microbatches, as the bits of an f32; of signs their mean |c|.
   */
  readonly peaks: Uint32Array<ArrayBuffer>;
  /** The tensors in the lease's codec. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** To be called where the contribution does not count: its error feedback is void. */
  readonly discard?: () => void;
}

/** A kind of lease that is to come. */
export interface ComingPhase {
  readonly phase: string;
  /** Of its losses, where they are known. */
  readonly weights?: Readonly<Record<string, number>>;
}

export interface Trainer {
  /**
   * Makes ready for leases of these phases, in the order in which they will come: resolves when the first can be
   * computed at once, and goes on with the others. Absent where nothing has to be made ready.
   * @param soon called, perhaps more than once, when that is not long off
   * @throws what the device says where it refuses a kernel, PLAN_TOO_LARGE: leases of the phase will say so too
   */
  prepare?(phases: readonly ComingPhase[], aborted: () => boolean, soon?: () => void): Promise<void>;
  /** The expanded blob of a parameter set, used by leases that name this hash. */
  loadParameters(set: ParameterSet, hash: string, blob: Uint8Array): void;
  /** True when a lease that names this hash can be computed without loading. */
  holds(set: ParameterSet, hash: string): boolean;
  /**
   * The expanded blob of a network that a phase needs and does not train; the hash is that of the bytes it was fetched
   * as.
   */
  loadFrozen(network: string, hash: string, blob: Uint8Array): void;
  holdsFrozen(network: string, hash: string): boolean;
  /**
   * Computes the ranges of a lease in microbatches aligned to the run's size, in their order.
   * @throws DEVICE_LOST, GRADIENT_NOT_FINITE, PLAN_TOO_LARGE
   */
  compute(
    lease: LeaseMessage,
    input: (from: number, to: number) => MicrobatchInput | Promise<MicrobatchInput>,
    aborted: () => boolean,
  ): Promise<LeaseResult | "aborted">;
  /** Resolves when the device is lost, with the reason. */
  readonly lost: Promise<string>;
  close(): void;
}

/** What a trainer is made for. */
export interface TrainerRun {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  /** The welcome's. */
  readonly program: Outline;
}

/** What a trainer is told of its device and tells of its kernels. */
export interface TrainerCircumstances {
  /** The device came in the place of one that was lost. */
  readonly suspect: boolean;
  readonly onEvent: (event: TuningEvent) => void;
  /** How much of the time it may compute; that may change at any time. */
  readonly duty: DutyCycle;
}

/** A device that is open. */
export interface ComputeDevice {
  readonly adapter: AdapterDescription;
  /** Resolves when the device is lost, with the reason. */
  readonly lost: Promise<string>;
  /** Compiles a run's kernels. @throws DEVICE_LOST, PLAN_TOO_LARGE, COMPUTE_FAILED and what the device says */
  createTrainer(run: TrainerRun, circumstances: TrainerCircumstances): Trainer | Promise<Trainer>;
  /**
   * The hash of all layers' 1-bit sums (SPEC.md, Z8).
   * @throws what the device says where it refuses a kernel or is lost
   */
  answerCanary(layers: readonly CanaryLayer[], seed: number): Promise<number>;
  /** Lets the device go; `lost` resolves. */
  close(): void;
}

// What the session needs of the trainer: parameters in, a lease's contribution out. The trainer owns the GPU, the session owns the socket.

import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";

/** One microbatch, decoded and normalised. */
export interface MicrobatchInput {
  /** f32 [n][h][w][c]. */
  readonly images: Float32Array<ArrayBuffer>;
  /** u32 [n]. */
  readonly labels: Uint32Array<ArrayBuffer>;
}

/** The answer to a lease, ready for a contribution frame. */
export interface LeaseResult {
  readonly samples: number;
  /** Largest |gradient · samples| of each tensor over the microbatches, as the bits of an f32; of signs their mean |c|. */
  readonly peaks: Uint32Array<ArrayBuffer>;
  /** The tensors in the lease's codec. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** To be called where the contribution does not count: its error feedback is void. */
  readonly discard?: () => void;
}

export interface Trainer {
  /** The expanded blob of a parameter set, used by leases that name this hash. */
  loadParameters(set: ParameterSet, hash: string, blob: Uint8Array): void;
  /** True when a lease that names this hash can be computed without loading. */
  holds(set: ParameterSet, hash: string): boolean;
  /** The frozen teacher's blob, expanded; the hash is that of the bytes it was fetched as. */
  loadTeacher(hash: string, blob: Uint8Array): void;
  holdsTeacher(hash: string): boolean;
  /**
   * Computes positions [from, to) of a lease in microbatches aligned to the run's size.
   * @throws DEVICE_LOST, GRADIENT_NOT_FINITE, PLAN_TOO_LARGE
   */
  compute(
    lease: LeaseMessage,
    input: (from: number, to: number) => MicrobatchInput,
    aborted: () => boolean,
  ): Promise<LeaseResult | "aborted">;
  /** Resolves when the device is lost, with the reason. */
  readonly lost: Promise<string>;
  close(): void;
}

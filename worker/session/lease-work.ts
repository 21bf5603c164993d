// Computes one lease: gathers parameters, frozen networks and shards, then hands the trainer decoded microbatches.

import { BitswarmError } from "../../shared/base/errors.ts";
import { encodeContributionFrame } from "../../shared/wire/contribution-payload.ts";
import { faultOfRanges } from "../../shared/wire/lease-ranges.ts";
import type { ParameterSet, WireForm } from "../../shared/wire/parameter-set.ts";
import { decodeWhole } from "../../shared/wire/parameter-update.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { DatasetCache } from "../content/dataset-cache.ts";
import type { LeaseResult, TrainerRun } from "../trainer/trainer-contract.ts";
import { LeaseSamples, type SampleResources } from "./lease-samples.ts";
import type { LivingTrainer } from "./trainer-owner.ts";

/** What a joined run needs beside its trainer. */
export interface RunResources extends TrainerRun, SampleResources {
  readonly cache: DatasetCache;
  /** The blob that a lease names. @throws MESSAGE_INVALID where it was never sent */
  readonly parameters: { blob(set: ParameterSet, hash: string): Promise<Uint8Array> };
  /** How a network that is not trained is packed. */
  readonly frozen: (network: string) => WireForm;
}

/** A lease whose data are here: it can be computed without waiting for anything but the GPU. */
export interface PreparedLease {
  readonly samples: LeaseSamples;
}

/** What a trainer made of a lease, and the checksum of the samples that it was given. */
export interface ComputedLease extends LeaseResult {
  readonly checksum: number;
}

/**
 * Fetches what a lease needs and decodes its first microbatch, beside the computing of another.
 * @throws MESSAGE_INVALID for a lease that cannot be meant, DATA_INVALID and what else fetching throws
 */
export async function prepareLease(lease: LeaseMessage, run: RunResources): Promise<PreparedLease> {
  requireProgram(lease, run);
  requirePositions(lease, run);
  const samples = new LeaseSamples(lease, run);
  await Promise.all([samples.ready(), ...Object.values(lease.frozen).map((hash) => run.cache.blob(hash))]);
  return { samples };
}

/**
 * @throws MESSAGE_INVALID for parameters that were never sent, DEVICE_LOST, GRADIENT_NOT_FINITE and what preparing
 * throws
 */
export async function computeLease(
  lease: LeaseMessage,
  preparing: Promise<PreparedLease>,
  run: RunResources,
  { trainer, lost }: LivingTrainer,
  aborted: () => boolean,
): Promise<ComputedLease | "aborted"> {
  const { samples } = await preparing;
  const { network, parametersHash, partners, frozen } = lease;
  for (const [name, hash] of Object.entries(frozen)) {
    if (trainer.holdsFrozen(name, hash)) continue;
    trainer.loadFrozen(name, hash, decodeWhole(run.frozen(name), await run.cache.blob(hash)));
  }
  for (const [set, hash] of [[network, parametersHash] as const, ...Object.entries(partners)]) {
    const blob = trainer.holds(set, hash) ? undefined : await run.parameters.blob(set, hash);
    if (aborted()) return "aborted";
    if (blob) trainer.loadParameters(set, hash, blob);
  }
  const result = await unlessLost(
    trainer.compute(lease, (from) => samples.input(from), aborted),
    lost,
  );
  return result === "aborted" ? result : { ...result, checksum: samples.checksum };
}

/** The frame that answers a lease. @param runTag names the run: 16 bytes in hex */
export function contributionFrame(
  { lease, round, codec, parametersHash }: LeaseMessage,
  runTag: string,
  { samples, peaks, checksum, body }: ComputedLease,
): Uint8Array<ArrayBuffer> {
  const tensors = peaks.length;
  const header = { kind: "contribution", codec, round, lease, samples, tensors, run: runTag, parametersHash } as const;
  return encodeContributionFrame(header, { peaks, checksum, body });
}

/** Rejects on loss of the device: some runtimes never settle a readback then. */
export async function unlessLost<T>(computing: Promise<T>, lost: AbortSignal): Promise<T> {
  let lose = () => {};
  const losing = new Promise<never>((_, reject) => {
    lose = () => reject(new BitswarmError("DEVICE_LOST", `the GPU's device was lost: ${lost.reason}`));
  });
  lost.addEventListener("abort", lose);
  if (lost.aborted) lose();
  try {
    return await Promise.race([computing, losing]);
  } finally {
    lost.removeEventListener("abort", lose);
  }
}

/** @throws MESSAGE_INVALID for a lease that is none of the program's */
function requireProgram(lease: LeaseMessage, { program }: Pick<TrainerRun, "program">): void {
  const phase = program.phases.find(({ name }) => name === lease.phase);
  const fault = (what: string) => new BitswarmError("MESSAGE_INVALID", `lease ${lease.lease} ${what}`);
  if (!phase) {
    const known = program.phases.map(({ name }) => name).join(", ");
    throw fault(`is of phase ${lease.phase}; the welcome's program has ${known}`);
  }
  if (phase.network !== lease.network) {
    throw fault(`names the ${lease.network}; phase ${phase.name} is of the ${phase.network}`);
  }
  if (phase.evaluate !== (lease.split === "test")) {
    throw fault(`is of the ${lease.split} split; phase ${phase.name} ${phase.evaluate ? "evaluates" : "trains"}`);
  }
  const listed = (what: string, names: readonly string[], due: readonly string[]) => {
    if (names.length === due.length && due.every((name) => names.includes(name))) return;
    throw fault(`names ${what} ${names.join(", ") || "nothing"}; phase ${phase.name} has ${due.join(", ") || "none"}`);
  };
  listed("the partners", Object.keys(lease.partners), phase.partners);
  listed("the frozen networks", Object.keys(lease.frozen), phase.needs);
}

/** @throws MESSAGE_INVALID for positions that the split does not have */
function requirePositions({ lease, split, ranges }: LeaseMessage, { config, dataset }: RunResources): void {
  const { samples } = dataset[split];
  const { microbatch } = config;
  const fault = faultOfRanges(ranges, { samples, microbatch, most: config.lease.maxMicrobatches });
  if (fault) throw new BitswarmError("MESSAGE_INVALID", `lease ${lease} of the ${split} split ${fault}`);
}

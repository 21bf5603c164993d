// Computes leases on one device: keeps parameters, plans by kind and size, and sums a lease's microbatches before one readback.

import type { Packing } from "../../kernels/layers/pack-lanes.ts";
import { quadsFor } from "../../kernels/text/quads.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { FLOAT32_INFINITY_BITS } from "../../shared/base/half.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { buildNetworks, type NetworkName, roundManifest } from "../../shared/run/networks.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { contributionLayout, type RoundKind } from "../../shared/wire/contribution.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { PipelineCache } from "../pipeline-cache.ts";
import type { SampleBuffer } from "../plan/launch-list.ts";
import { sampleSize } from "../plan/network-buffers.ts";
import { compilePlan, type PlanOptions } from "../plan/plan.ts";
import { recordWithin } from "../plan/record-within.ts";
import { type Recording, storageBuffer } from "../plan/recording.ts";
import type { RecordLoss } from "../plan/task-loss.ts";
import { deviceTasks } from "../tasks/device-tasks.ts";
import { checkedPacking } from "../tuning/packing-check.ts";
import { Tuner } from "../tuning/tuner.ts";
import { type TuningOptions, untuned } from "../tuning/tuning-options.ts";
import { encodeContribution } from "./encode-contribution.ts";
import type { LocalReplica } from "./local-replica.ts";
import { ParameterSlots } from "./parameter-slots.ts";
import { Residuals } from "./residuals.ts";
import { type LeaseSum, RoundBuffers } from "./round-buffers.ts";
import type { LeaseResult, MicrobatchInput, Trainer } from "./trainer-contract.ts";

export function createTrainer(
  device: GPUDevice,
  config: RunConfig,
  dataset: Dataset,
  tuning: TuningOptions = untuned(),
): Trainer {
  return new GpuTrainer(device, config, dataset, tuning);
}

/** What of a lease its launches depend on, beside the number of samples. */
type PlannedRound = Pick<LeaseMessage, "kind" | "network" | "lambdaAdversarial" | "codec">;

class GpuTrainer implements Trainer {
  readonly lost: Promise<string>;
  #device: GPUDevice;
  #config: RunConfig;
  #networks: ReturnType<typeof buildNetworks>;
  #cache: PipelineCache;
  #tuner: Tuner;
  #packing: Promise<Packing>;
  /** What no tuner checks goes without quads on a device under suspicion. */
  #quads: boolean;
  #suspected = false;
  #loss: RecordLoss;
  /** Of each input and target of a microbatch, as a plan binds it. */
  #samples: Readonly<Record<SampleBuffer, GPUBuffer>>;
  #slots: ParameterSlots;
  #rounds = new Map<string, RoundBuffers>();
  #residuals = new Residuals();
  #recordings = new Map<string, Promise<Recording>>();
  #lostReason: string | undefined;

  constructor(device: GPUDevice, config: RunConfig, dataset: Dataset, tuning: TuningOptions) {
    this.#device = device;
    this.#config = config;
    this.#networks = buildNetworks(config, dataset);
    this.#cache = new PipelineCache(device);
    this.#slots = new ParameterSlots(this.#cache, config, this.#networks);
    this.#tuner = new Tuner({ ...tuning, cache: this.#cache, now: () => performance.now() });
    this.#quads = quadsFor(tuning.traits) && !tuning.suspect;
    this.#packing = checkedPacking(this.#cache, tuning.traits);
    this.#loss = deviceTasks.get(config.task.kind).loss(config.task);
    const task = tasks.get(config.task.kind);
    const buffer = (name: string, words: number) =>
      [`sample.${name}`, storageBuffer(device, name, 4 * config.microbatch * words)] as const;
    this.#samples = Object.fromEntries([
      ...task.inputs(config.task, { dataset, data: config.data }).map((input) => buffer(input.name, sampleSize(input))),
      ...task.targets(config.task, { dataset, data: config.data }).map(({ name, size }) => buffer(name, size)),
    ]);
    this.lost = device.lost.then((info) => {
      this.#lostReason = `${info.reason}: ${info.message}`;
      return this.#lostReason;
    });
    // What cannot be compiled says so when a lease needs it.
    if (!tuning.suspect) this.#warmUp().catch(() => undefined);
  }

  /** From the second visit on the student's tilings are known before a lease names it: it compiles while the worker waits. */
  async #warmUp(): Promise<void> {
    const { adversarial, codec, microbatch } = this.#config;
    const round = { kind: "student", network: "student", lambdaAdversarial: adversarial.lambda, codec } as const;
    const options = this.#planOptions(round, microbatch);
    const { passes } = compilePlan(options).list;
    if (!(await this.#tuner.remembers(passes.values()))) return;
    const choose = await this.#tuner.recall(passes.values());
    const { list } = compilePlan({ ...options, choose, packing: await this.#packing });
    await Promise.all(list.launches.map(({ kernel }) => this.#cache.get(kernel)));
  }

  holds(set: ParameterSet, hash: string): boolean {
    return this.#slots.holds(set, hash);
  }

  holdsTeacher(hash: string): boolean {
    return this.#slots.holds("frozen", hash);
  }

  loadParameters(set: ParameterSet, hash: string, blob: Uint8Array): void {
    this.#slots.load(set, hash, blob);
  }

  loadTeacher(hash: string, blob: Uint8Array): void {
    this.#slots.load("frozen", hash, blob);
  }

  #roundBuffers(kind: RoundKind, network: NetworkName): RoundBuffers {
    const key = `${kind}/${network}`;
    const known = this.#rounds.get(key);
    if (known) return known;
    const buffers = new RoundBuffers(
      this.#device,
      contributionLayout(roundManifest(this.#networks, kind, network), kind, this.#config.sync.kind),
    );
    this.#rounds.set(key, buffers);
    return buffers;
  }

  #planOptions({ kind, network, lambdaAdversarial, codec }: PlannedRound, n: number): PlanOptions {
    const local = this.#slots.replica(network)?.plan(kind, n);
    return {
      ...(local && { local }),
      networks: this.#networks,
      kind,
      network,
      n,
      lambdaAdversarial,
      adversarialReduce: this.#config.adversarial.reduce,
      loss: this.#loss,
      accumulate: codecs.get(codec).accumulate,
      quads: this.#quads,
    };
  }

  #recording(lease: LeaseMessage, n: number, round: RoundBuffers, aborted: () => boolean): Promise<Recording> {
    const { kind, network, lambdaAdversarial } = lease;
    const options = this.#planOptions(lease, n);
    const key = [kind, network, n, lambdaAdversarial, options.accumulate].join("/");
    const known = this.#recordings.get(key);
    if (known) return known;
    const recording = this.#record(options, round, aborted);
    this.#recordings.set(key, recording);
    return recording;
  }

  async #record(options: PlanOptions, round: RoundBuffers, aborted: () => boolean): Promise<Recording> {
    const { kind, network, n } = options;
    const passes = [...compilePlan(options).list.passes.values()];
    // An epoch's last microbatch may be short; it comes too seldom to be measured.
    if (n === this.#config.microbatch) await this.#tuner.measure(passes, aborted);
    const choose = await this.#tuner.recall(passes);
    return recordWithin(
      this.#cache,
      { ...options, choose, packing: await this.#packing },
      {
        ...this.#slots.externals(network),
        ...(kind === "student" ? { teacher: this.#slots.teacher } : {}),
        ...this.#samples,
        ...round.externals,
      },
    );
  }

  /** A result that is not finite may be the device's doing: once, what computes is made anew with checked kernels. */
  #suspect(): void {
    if (this.#suspected) return;
    this.#suspected = true;
    this.#quads = false;
    this.#tuner.suspect();
    this.#dropRecordings();
  }

  #dropRecordings(): void {
    for (const recording of this.#recordings.values()) {
      recording.then(
        (r) => r.destroy(),
        () => undefined,
      );
    }
    this.#recordings.clear();
  }

  async compute(
    lease: LeaseMessage,
    input: (from: number, to: number) => MicrobatchInput,
    aborted: () => boolean,
  ): Promise<LeaseResult | "aborted"> {
    const { network, parametersHash, discriminatorsHash } = lease;
    const missing = [[network, parametersHash] as const, ["discriminators", discriminatorsHash] as const].find(
      ([set, hash]) => hash !== null && !this.holds(set, hash),
    );
    if (missing) {
      throw new BitswarmError(
        "CONTRIBUTION_STALE",
        `lease ${lease.lease} names ${missing[0]} parameters ${missing[1]?.slice(0, 12)}…, which this worker does not hold`,
      );
    }
    const replica = this.#slots.replica(lease.network);
    if (replica && lease.kind !== "evaluate" && lease.innerLearningRate === undefined) {
      throw new BitswarmError(
        "MESSAGE_INVALID",
        `lease ${lease.lease} of a run with sync.kind local has no innerLearningRate; its inner steps need one`,
      );
    }
    try {
      const result = await this.#compute(lease, replica, input, aborted);
      if (result !== "replica-differs") return result;
      replica?.reload();
      const again = await this.#compute(lease, replica, input, aborted);
      if (again !== "replica-differs") return again;
      throw new BitswarmError(
        "REPLICA_DIFFERS",
        `the GPU twice held other parameters than the ${lease.parametersHash.slice(0, 12)}… it was sent for lease ${lease.lease}; its memory or driver is at fault`,
      );
    } catch (cause) {
      if (this.#lostReason === undefined || cause instanceof BitswarmError) throw cause;
      throw new BitswarmError(
        "DEVICE_LOST",
        `the GPU was lost while lease ${lease.lease} was computed: ${this.#lostReason}`,
        { cause },
      );
    }
  }

  async #compute(
    lease: LeaseMessage,
    replica: LocalReplica | undefined,
    input: (from: number, to: number) => MicrobatchInput,
    aborted: () => boolean,
  ): Promise<LeaseResult | "aborted" | "replica-differs"> {
    const { queue } = this.#device;
    const { innerLearningRate: learningRate } = lease;
    const samples = lease.to - lease.from;
    const round = this.#roundBuffers(lease.kind, lease.network);
    const size = this.#config.microbatch;
    round.begin(lease.exponents);
    await replica?.begin();
    let step = 0;
    for (let from = lease.from; from < lease.to; ) {
      const to = Math.min((Math.floor(from / size) + 1) * size, lease.to);
      const recording = await this.#recording(lease, to - from, round, aborted);
      if (aborted()) return "aborted";
      for (const [name, values] of Object.entries(input(from, to))) {
        queue.writeBuffer(this.#samples[`sample.${name}`], 0, values);
      }
      step += 1;
      if (learningRate !== undefined) replica?.step({ learningRate, step, samples });
      const encoder = this.#device.createCommandEncoder();
      recording.encode(encoder);
      queue.submit([encoder.finish()]);
      from = to;
    }
    if (learningRate !== undefined) await replica?.end(lease.kind, round.externals, codecs.get(lease.codec).accumulate);
    const [result, intact] = await Promise.all([round.read(), replica?.intact() ?? true]);
    // Some runtimes resolve a map that was pending when the device went away.
    if (this.#lostReason !== undefined) throw new BitswarmError("DEVICE_LOST", `the GPU was lost: ${this.#lostReason}`);
    if (aborted()) return "aborted";
    if (!intact) return "replica-differs";
    const broken = notFinite(round, result, lease);
    if (broken) {
      this.#suspect();
      throw broken;
    }
    const wire = wireLayout(round.layout, lease.codec);
    const key = `${lease.kind}/${lease.network}`;
    const residual = () => this.#residuals.of(key, wire.wide, lease.era);
    const encoded = encodeContribution({ lease, wire, result, residual });
    const discard = wire.codec.coding?.errorFeedback ? { discard: () => this.#residuals.forget(key) } : {};
    return { samples, ...encoded, ...discard };
  }

  close(): void {
    for (const round of this.#rounds.values()) round.destroy();
    this.#slots.destroy();
    for (const buffer of Object.values(this.#samples)) buffer.destroy();
    this.#dropRecordings();
  }
}

function notFinite(round: RoundBuffers, { peaks }: LeaseSum, lease: LeaseMessage): BitswarmError | undefined {
  const bad = peaks.findIndex((bits) => bits >= FLOAT32_INFINITY_BITS);
  if (bad < 0) return undefined;
  return new BitswarmError(
    "GRADIENT_NOT_FINITE",
    `${round.layout.tensors[bad].name} of positions ${lease.from} to ${lease.to} is not finite; nothing was sent`,
  );
}

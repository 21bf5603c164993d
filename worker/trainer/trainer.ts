// Computes leases on one device: keeps parameters, plans by phase and size, and sums a lease's microbatches before one
// readback.

import type { Packing } from "../../kernels/layers/pack-lanes.ts";
import { quadsFor } from "../../kernels/text/quads.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { FLOAT32_INFINITY_BITS } from "../../shared/base/half.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import { type Outline, type Phase, phaseNamed } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { phaseLayout } from "../../shared/wire/contribution.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { PipelineCache } from "../pipeline-cache.ts";
import { fitPlan } from "../plan/fit-plan.ts";
import type { SampleBuffer } from "../plan/launch-list.ts";
import { sampleSize } from "../plan/network-buffers.ts";
import { compilePlan, type PlanOptions } from "../plan/plan.ts";
import { limitsOf, recordWithin } from "../plan/record-within.ts";
import { type Recording, storageBuffer } from "../plan/recording.ts";
import type { RecordLoss } from "../plan/task-loss.ts";
import { deviceTasks } from "../tasks/device-tasks.ts";
import { checkedPacking } from "../tuning/packing-check.ts";
import { Tuner } from "../tuning/tuner.ts";
import { type TuningOptions, untuned } from "../tuning/tuning-options.ts";
import { type CompileAhead, compileAhead } from "./compile-ahead.ts";
import { encodeContribution } from "./encode-contribution.ts";
import type { LocalReplica } from "./local-replica.ts";
import { ParameterSlots } from "./parameter-slots.ts";
import { Residuals } from "./residuals.ts";
import { type LeaseSum, RoundBuffers } from "./round-buffers.ts";
import type { ComingPhase, LeaseResult, MicrobatchInput, Trainer, TrainerRun } from "./trainer-contract.ts";

/** Kernels that compile at a time while somebody waits for them. */
const COMPILED_AT_ONCE = 8;

export function createTrainer(device: GPUDevice, run: TrainerRun, tuning: TuningOptions = untuned()): Trainer {
  return new GpuTrainer(device, run, tuning);
}

/** What of a lease its launches depend on, beside the number of samples. */
interface PlannedRound extends Partial<Pick<LeaseMessage, "weights">> {
  readonly phase: Phase;
  readonly codec: LeaseMessage["codec"];
}

class GpuTrainer implements Trainer {
  readonly lost: Promise<string>;
  #device: GPUDevice;
  #config: RunConfig;
  #program: Outline;
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
  #closed = false;
  readonly #software: boolean;
  /** Phases that have had their time: what it did not suffice for waits for another visit. */
  readonly #measured = new Set<string>();
  readonly #onEvent: TuningOptions["onEvent"];

  constructor(device: GPUDevice, { config, dataset, program }: TrainerRun, tuning: TuningOptions) {
    this.#device = device;
    this.#config = config;
    this.#program = program;
    this.#networks = buildNetworks(config, dataset, program);
    this.#cache = new PipelineCache(device);
    this.#slots = new ParameterSlots(this.#cache, config, this.#networks);
    this.#tuner = new Tuner({ ...tuning, cache: this.#cache, now: () => performance.now() });
    this.#onEvent = tuning.onEvent;
    this.#software = tuning.traits.software;
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
  }

  async prepare(phases: readonly ComingPhase[], aborted: () => boolean): Promise<void> {
    const [first, ...others] = phases.map(({ phase, weights }) => ({
      phase: phaseNamed(this.#program, phase),
      codec: this.#config.codec,
      ...(weights && { weights }),
    }));
    if (!first) return;
    const size = this.#config.microbatch;
    await this.#compile(await this.#choice(this.#planOptions(first, size), aborted), this.#told(aborted));
    if (aborted()) return;
    if (this.#software && !this.#slots.replica(first.phase.network)) await this.#rehearse(first, size, aborted);
    this.#prepareOthers(others, aborted).catch(() => undefined);
  }

  /**
   * Runs a microbatch of nothing: a software adapter translates kernels in their first run. A lease begins with a sum
   * that is cleared, and writes all else before it reads it.
   */
  async #rehearse(planned: PlannedRound, size: number, aborted: () => boolean): Promise<void> {
    const recording = await this.#recording(planned, size, this.#roundBuffers(planned.phase), aborted);
    if (this.#closed || aborted()) return;
    const encoder = this.#device.createCommandEncoder();
    recording.encode(encoder);
    this.#device.queue.submit([encoder.finish()]);
    await this.#device.queue.onSubmittedWorkDone();
  }

  /** One kernel after another, beside the leases that are computed; what is not measured here is when it comes. */
  async #prepareOthers(others: readonly PlannedRound[], aborted: () => boolean): Promise<void> {
    const over = () => this.#closed || aborted();
    for (const planned of others) {
      if (over()) return;
      const options = this.#planOptions(planned, this.#config.microbatch);
      const choose = await this.#tuner.remembered([...compilePlan(options).list.passes.values()]);
      const chosen = { ...options, choose, packing: await this.#packing };
      await this.#compile(chosen, { atOnce: 1, onProgress: () => undefined, aborted: over });
    }
  }

  #told(aborted: () => boolean): CompileAhead {
    return {
      atOnce: COMPILED_AT_ONCE,
      aborted: () => this.#closed || aborted(),
      onProgress: (done, total) => this.#onEvent({ type: "tuning", stage: "compiling", done, total }),
    };
  }

  async #compile(options: PlanOptions, how: CompileAhead): Promise<void> {
    const { list } = fitPlan(options, limitsOf(this.#device));
    await compileAhead(
      this.#cache,
      list.launches.map(({ kernel }) => kernel),
      how,
    );
  }

  holds(set: ParameterSet, hash: string): boolean {
    return this.#slots.holds({ kind: "set", set }, hash);
  }

  holdsFrozen(network: string, hash: string): boolean {
    return this.#slots.holds({ kind: "frozen", network }, hash);
  }

  loadParameters(set: ParameterSet, hash: string, blob: Uint8Array): void {
    this.#slots.load({ kind: "set", set }, hash, blob);
  }

  loadFrozen(network: string, hash: string, blob: Uint8Array): void {
    this.#slots.load({ kind: "frozen", network }, hash, blob);
  }

  #roundBuffers(phase: Phase): RoundBuffers {
    const known = this.#rounds.get(phase.name);
    if (known) return known;
    const buffers = new RoundBuffers(this.#device, phaseLayout(this.#networks, phase, this.#config.sync.kind));
    this.#rounds.set(phase.name, buffers);
    return buffers;
  }

  #planOptions({ phase, weights, codec }: PlannedRound, n: number): PlanOptions {
    const local = this.#slots.replica(phase.network)?.plan(phase, n);
    return {
      ...(local && { local }),
      networks: this.#networks,
      phase,
      n,
      ...(weights && { weights }),
      adversarialReduce: this.#config.adversarial.reduce,
      loss: this.#loss,
      accumulate: codecs.get(codec).accumulate,
      quads: this.#quads,
    };
  }

  #recording(planned: PlannedRound, n: number, round: RoundBuffers, aborted: () => boolean): Promise<Recording> {
    const options = this.#planOptions(planned, n);
    const key = [planned.phase.name, n, JSON.stringify(planned.weights), options.accumulate].join("/");
    const known = this.#recordings.get(key);
    if (known) return known;
    const recording = this.#record(options, round, aborted);
    this.#recordings.set(key, recording);
    return recording;
  }

  /** The options with the tilings that the plan's passes get here. */
  async #choice(options: PlanOptions, aborted: () => boolean): Promise<PlanOptions> {
    const passes = [...compilePlan(options).list.passes.values()];
    const { name } = options.phase;
    // An epoch's last microbatch may be short; it comes too seldom to be measured.
    if (options.n === this.#config.microbatch && !this.#measured.has(name)) {
      this.#measured.add(name);
      await this.#tuner.measure(passes, aborted);
    }
    return { ...options, choose: await this.#tuner.recall(passes), packing: await this.#packing };
  }

  async #record(options: PlanOptions, round: RoundBuffers, aborted: () => boolean): Promise<Recording> {
    const chosen = await this.#choice(options, aborted);
    // A lease that is aborted has a recording all the same: others share it.
    await this.#compile(
      chosen,
      this.#told(() => false),
    );
    return recordWithin(this.#cache, chosen, {
      ...this.#slots.externals(options.phase),
      ...this.#samples,
      ...round.externals,
    });
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
    const { network, parametersHash, partners } = lease;
    const phase = phaseNamed(this.#program, lease.phase);
    const missing = [[network, parametersHash] as const, ...Object.entries(partners)].find(
      ([set, hash]) => !this.holds(set, hash),
    );
    if (missing) {
      throw new BitswarmError(
        "CONTRIBUTION_STALE",
        `lease ${lease.lease} names ${missing[0]} parameters ${missing[1].slice(0, 12)}…, which this worker does not hold`,
      );
    }
    const replica = this.#slots.replica(lease.network);
    if (replica && !phase.evaluate && lease.innerLearningRate === undefined) {
      throw new BitswarmError(
        "MESSAGE_INVALID",
        `lease ${lease.lease} of a run with sync.kind local has no innerLearningRate; its inner steps need one`,
      );
    }
    try {
      const result = await this.#compute(lease, phase, replica, input, aborted);
      if (result !== "replica-differs") return result;
      replica?.reload();
      const again = await this.#compute(lease, phase, replica, input, aborted);
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
    phase: Phase,
    replica: LocalReplica | undefined,
    input: (from: number, to: number) => MicrobatchInput,
    aborted: () => boolean,
  ): Promise<LeaseResult | "aborted" | "replica-differs"> {
    const { queue } = this.#device;
    const { innerLearningRate: learningRate, weights, codec } = lease;
    const samples = lease.to - lease.from;
    const round = this.#roundBuffers(phase);
    const size = this.#config.microbatch;
    round.begin(lease.exponents);
    await replica?.begin();
    let step = 0;
    for (let from = lease.from; from < lease.to; ) {
      const to = Math.min((Math.floor(from / size) + 1) * size, lease.to);
      const recording = await this.#recording({ phase, weights, codec }, to - from, round, aborted);
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
    if (learningRate !== undefined) await replica?.end(phase, round.externals, codecs.get(codec).accumulate);
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
    const wire = wireLayout(round.layout, codec);
    const residual = () => this.#residuals.of(phase.name, wire.wide, lease.era);
    const encoded = encodeContribution({ lease, wire, result, residual });
    const discard = wire.codec.coding?.errorFeedback ? { discard: () => this.#residuals.forget(phase.name) } : {};
    return { samples, ...encoded, ...discard };
  }

  close(): void {
    this.#closed = true;
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

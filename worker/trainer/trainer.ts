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
import type { MicrobatchInput } from "../../shared/samples/microbatch.ts";
import { phaseLayout } from "../../shared/wire/contribution.ts";
import { microbatchesOf, rangesInWords, samplesOf } from "../../shared/wire/lease-ranges.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { sleep, systemClock } from "../clock.ts";
import { PipelineCache } from "../pipeline-cache.ts";
import { fitPlan } from "../plan/fit-plan.ts";
import { compilePlan, type PlanOptions } from "../plan/plan.ts";
import { limitsOf, recordWithin } from "../plan/record-within.ts";
import type { Externals, Recording } from "../plan/recording.ts";
import type { RecordLoss } from "../plan/task-loss.ts";
import { deviceTasks } from "../tasks/device-tasks.ts";
import { checkedPacking } from "../tuning/packing-check.ts";
import { Tuner } from "../tuning/tuner.ts";
import { type TuningOptions, untuned } from "../tuning/tuning-options.ts";
import { BesideJobs } from "./beside-jobs.ts";
import { almostDone, type CompileAhead, compileAhead } from "./compile-ahead.ts";
import { DeviceTurns } from "./device-turns.ts";
import { DutyCycle, type LaunchCosts, unmeasuredCosts } from "./duty-cycle.ts";
import { encodeContribution } from "./encode-contribution.ts";
import { type Improvable, KernelUpgrades } from "./kernel-upgrades.ts";
import type { LocalReplica } from "./local-replica.ts";
import { ParameterSlots } from "./parameter-slots.ts";
import { Residuals } from "./residuals.ts";
import { type LeaseSum, RoundBuffers } from "./round-buffers.ts";
import { SampleBuffers } from "./sample-buffers.ts";
import type { ComingPhase, LeaseResult, Trainer, TrainerRun } from "./trainer-contract.ts";
import { UploadPace } from "./upload-pace.ts";

/** Kernels that compile at a time while somebody waits for them. */
const COMPILED_AT_ONCE = 8;
/** Times that a phase's measurement is begun, where others come between. */
const MEASUREMENTS = 3;
/** Faster kernels are compiled without a lease computed after so long. */
const UNASKED_MS = 2000;
/** Launches of a recording's first run that a software adapter gets before others have their turn. */
const TRANSLATED_AT_ONCE = 8;

/** @param duty how much of the time the device may compute; by default all of it */
export function createTrainer(
  device: GPUDevice,
  run: TrainerRun,
  tuning: TuningOptions = untuned(),
  duty = new DutyCycle({ clock: systemClock }),
): Trainer {
  return new GpuTrainer(device, run, tuning, duty);
}

type MicrobatchSource = (from: number, to: number) => MicrobatchInput | Promise<MicrobatchInput>;

/** What of a lease its launches depend on, beside the number of samples. */
interface PlannedRound extends Partial<Pick<LeaseMessage, "weights">> {
  readonly phase: Phase;
  readonly codec: LeaseMessage["codec"];
}

/** A recording with what its kernels were chosen of. */
interface Recorded {
  readonly recording: Recording;
  readonly improvable: Improvable;
  readonly names: string;
  readonly generation: number;
}

class GpuTrainer implements Trainer {
  readonly lost: Promise<string>;
  #device: GPUDevice;
  #config: RunConfig;
  #program: Outline;
  #networks: ReturnType<typeof buildNetworks>;
  #cache: PipelineCache;
  readonly #tuner: Tuner;
  readonly #upgrades: KernelUpgrades;
  readonly #turns: DeviceTurns;
  readonly #beside = new BesideJobs(systemClock);
  /** Phases for whose leases faster kernels are compiled, and those that come after them. */
  readonly #improving = new Set<string>();
  #coming: readonly PlannedRound[] = [];
  /** Whether what is done beside leases is to stop, as the last to prepare says. */
  #aborted = () => false;
  /** Recordings that a software adapter has run to their end. */
  readonly #translated = new WeakSet<Recording>();
  #packing: Promise<Packing>;
  /** What no tuner checks goes without quads on a device under suspicion. */
  #quads: boolean;
  #suspected = false;
  #loss: RecordLoss;
  #samples: SampleBuffers;
  #pace: UploadPace;
  #slots: ParameterSlots;
  #rounds = new Map<string, RoundBuffers>();
  #residuals = new Residuals();
  #recordings = new Map<string, Promise<Recorded>>();
  #lostReason: string | undefined;
  #closed = false;
  readonly #software: boolean;
  /** Phases that have had their time: what it did not suffice for waits for another visit. */
  readonly #measured = new Set<string>();
  readonly #onEvent: TuningOptions["onEvent"];
  readonly #duty: DutyCycle;
  /** What launches of recordings take, where the device is not to compute all the time. */
  readonly #costs = new WeakMap<Recording, LaunchCosts>();

  constructor(device: GPUDevice, { config, dataset, program }: TrainerRun, tuning: TuningOptions, duty: DutyCycle) {
    this.#device = device;
    this.#duty = duty;
    this.#config = config;
    this.#program = program;
    this.#networks = buildNetworks(config, dataset, program);
    this.#cache = new PipelineCache(device);
    this.#slots = new ParameterSlots(this.#cache, config, this.#networks);
    const { queue } = device;
    this.#turns = new DeviceTurns({ clock: systemClock, drained: () => queue.onSubmittedWorkDone() });
    this.#tuner = new Tuner({
      ...tuning,
      cache: this.#cache,
      now: () => performance.now(),
      turn: (work) => this.#turns.take(work),
    });
    this.#upgrades = new KernelUpgrades({ ...tuning, cache: this.#cache, tuner: this.#tuner });
    this.#onEvent = tuning.onEvent;
    this.#software = tuning.traits.software;
    this.#quads = quadsFor(tuning.traits) && !tuning.suspect;
    this.#packing = checkedPacking(this.#cache, tuning.traits);
    this.#loss = deviceTasks.get(config.task.kind).loss(config.task);
    this.#samples = new SampleBuffers(this.#cache, config, dataset);
    this.#pace = new UploadPace(device.queue);
    this.lost = device.lost.then((info) => {
      this.#lostReason = `${info.reason}: ${info.message}`;
      return this.#lostReason;
    });
  }

  async prepare(phases: readonly ComingPhase[], aborted: () => boolean, soon?: () => void): Promise<void> {
    const [first, ...others] = phases.map(({ phase, weights }) => ({
      phase: phaseNamed(this.#program, phase),
      codec: this.#config.codec,
      ...(weights && { weights }),
    }));
    if (!first) return;
    this.#aborted = aborted;
    const size = this.#config.microbatch;
    const told = this.#told(aborted);
    const since = performance.now();
    const onProgress = (done: number, total: number) => {
      told.onProgress(done, total);
      if (!aborted() && almostDone({ done, total, elapsedMs: performance.now() - since })) soon?.();
    };
    await this.#compile(await this.#choice(this.#planOptions(first, size)), { ...told, onProgress });
    if (aborted()) return;
    const recording = await this.#recording(first, size, this.#roundBuffers(first.phase));
    await this.#samples.ready();
    if (this.#software) await this.#translate(recording, aborted);
    this.#coming = others;
    // After a pause it goes on; else it begins with the first microbatch, or while there is none to be had.
    if (this.#improving.has(first.phase.name)) this.#improve(first);
    else sleep(systemClock, UNASKED_MS).then(() => this.#turns.idle && this.#improveOnce(first));
  }

  /** Has a software adapter translate kernels, which it else does in their first run: some at a time, and runs none. */
  async #translate(recording: Recording, aborted: () => boolean): Promise<void> {
    if (this.#translated.has(recording)) return;
    const { queue } = this.#device;
    for (let at = 0; at < recording.length; at += TRANSLATED_AT_ONCE) {
      if (this.#closed || aborted()) return;
      const few = this.#device.createCommandEncoder();
      recording.encodeEmpty(few, at, Math.min(at + TRANSLATED_AT_ONCE, recording.length));
      queue.submit([few.finish()]);
      await queue.onSubmittedWorkDone();
      await sleep(systemClock, 0);
    }
    this.#translated.add(recording);
  }

  /**
   * Submits what is encoded, and the recording behind it. A software adapter translates kernels in their first run, and
   * a runtime whose waiting blocks would not be heard for as long as that takes: they go a few at a time then.
   */
  async #launch(recording: Recording, encoder: GPUCommandEncoder, aborted: () => boolean): Promise<void> {
    const { queue } = this.#device;
    if (!this.#software || this.#translated.has(recording)) {
      if (this.#duty.limited) return this.#launchInTurns(recording, encoder, aborted);
      recording.encode(encoder);
      queue.submit([encoder.finish()]);
      return;
    }
    queue.submit([encoder.finish()]);
    for (let at = 0; at < recording.length; at += TRANSLATED_AT_ONCE) {
      const few = this.#device.createCommandEncoder();
      recording.encode(few, at, at + TRANSLATED_AT_ONCE);
      queue.submit([few.finish()]);
      await queue.onSubmittedWorkDone();
      await sleep(systemClock, 0);
    }
    this.#translated.add(recording);
  }

  /** The same launches in submissions that leave the device its rest. Those of an aborted lease are left out. */
  async #launchInTurns(recording: Recording, first: GPUCommandEncoder, aborted: () => boolean): Promise<void> {
    const { queue } = this.#device;
    const costs = this.#costs.get(recording) ?? unmeasuredCosts(recording.length);
    this.#costs.set(recording, costs);
    let encoder = first;
    for (let from = 0; from < recording.length; ) {
      await this.#duty.rested();
      if (aborted()) return;
      const to = this.#duty.cut(costs, from);
      recording.encode(encoder, from, to);
      const commands = encoder.finish();
      const submit = () => queue.submit([commands]);
      await this.#duty.run({ costs, from, to }, submit, () => queue.onSubmittedWorkDone());
      encoder = this.#device.createCommandEncoder();
      from = to;
    }
  }

  get #over(): () => boolean {
    return () => this.#closed || this.#aborted();
  }

  /** Faster kernels for leases of a kind, beside them: those that are known, then those that a measurement finds. */
  #improve(planned: PlannedRound): void {
    this.#improving.add(planned.phase.name);
    this.#beside.add(this.#improvement(planned), { urgent: true });
    // A software adapter's compiler takes the cores that it computes with.
    this.#beside.add(this.#prepareOthers(this.#coming), { rests: this.#software });
    this.#coming = [];
  }

  /** Once what is submitted is computed: the first microbatches are waited for, and compilers would slow them down. */
  #improveBehind(planned: PlannedRound): void {
    this.#device.queue.onSubmittedWorkDone().then(
      () => this.#improveOnce(planned),
      () => undefined,
    );
  }

  #improveOnce(planned: PlannedRound): void {
    if (!this.#closed && !this.#improving.has(planned.phase.name)) this.#improve(planned);
  }

  async *#improvement(planned: PlannedRound): AsyncGenerator<void> {
    const over = this.#over;
    const { list } = compilePlan(this.#planOptions(planned, this.#config.microbatch));
    yield* this.#upgrades.upgrade(list, over);
    const { name } = planned.phase;
    if (over() || this.#measured.has(name)) return;
    this.#measured.add(name);
    // Where another phase has come, whose kernels are slow yet, those go before this: it begins anew behind them.
    const pressed = () => this.#beside.pressed;
    for (let left = MEASUREMENTS; left > 0 && !over(); left--) {
      await this.#tuner.measure(list.passes.values(), () => over() || pressed());
      if (!pressed()) break;
      yield;
    }
    yield* this.#upgrades.upgrade(list, over);
  }

  /** One kernel after another, beside the leases that are computed; what is not measured here is when it comes. */
  async *#prepareOthers(others: readonly PlannedRound[]): AsyncGenerator<void> {
    const over = this.#over;
    for (const planned of others) {
      const options = this.#planOptions(planned, this.#config.microbatch);
      yield* this.#upgrades.upgrade(compilePlan(options).list, over);
      const { launches } = fitPlan(await this.#choice(options), limitsOf(this.#device)).list;
      for (const { kernel } of launches) {
        if (over()) return;
        if (this.#cache.has(kernel)) continue;
        await this.#cache.get(kernel);
        yield;
      }
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
    await compileAhead(this.#cache, [...this.#samples.kernels, ...list.launches.map(({ kernel }) => kernel)], how);
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

  /** The recording of a microbatch of n: anew where faster kernels are ready than those that it was made of. */
  async #recording(planned: PlannedRound, n: number, round: RoundBuffers): Promise<Recording> {
    const options = this.#planOptions(planned, n);
    const key = [planned.phase.name, n, JSON.stringify(planned.weights), options.accumulate].join("/");
    const known = this.#recordings.get(key);
    const recorded = known
      ? known.then((before) => this.#renewed(before, options, round))
      : this.#record(options, round);
    this.#recordings.set(key, recorded);
    return (await recorded).recording;
  }

  /** The options with the kernels that the plan gets now. */
  async #choice(options: PlanOptions): Promise<PlanOptions> {
    const chosen = await this.#upgrades.choose(compilePlan(options).list);
    return { ...options, ...chosen, packing: await this.#packing };
  }

  #externals({ phase }: PlanOptions, round: RoundBuffers): Externals {
    return { ...this.#slots.externals(phase), ...this.#samples.externals, ...round.externals };
  }

  async #record(options: PlanOptions, round: RoundBuffers): Promise<Recorded> {
    const { generation } = this.#upgrades;
    const chosen = await this.#choice(options);
    const improvable = compilePlan(options).list;
    const names = this.#upgrades.names(improvable);
    // A lease that is aborted has a recording all the same: others share it.
    await this.#compile(
      chosen,
      this.#told(() => false),
    );
    const recording = await recordWithin(this.#cache, chosen, this.#externals(options, round));
    return { recording, improvable, names, generation };
  }

  /** What cannot be recorded anew, for lack of memory perhaps, stays as it is until there is something else to try. */
  async #renewed(before: Recorded, options: PlanOptions, round: RoundBuffers): Promise<Recorded> {
    const { generation } = this.#upgrades;
    if (before.generation === generation) return before;
    const chosen = await this.#choice(options);
    const names = this.#upgrades.names(before.improvable);
    if (names === before.names) return { ...before, generation };
    try {
      const externals = this.#externals(options, round);
      const recording = await recordWithin(this.#cache, chosen, externals, before.recording);
      return { ...before, recording, names, generation };
    } catch {
      return { ...before, generation };
    }
  }

  /** A result that is not finite may be the device's doing: once, what computes is made anew with checked kernels. */
  #suspect(): void {
    if (this.#suspected) return;
    this.#suspected = true;
    this.#quads = false;
    this.#tuner.suspect();
    this.#upgrades.reset();
    this.#improving.clear();
    this.#dropRecordings();
  }

  #dropRecordings(): void {
    for (const recording of this.#recordings.values()) {
      recording.then(
        (recorded) => recorded.recording.destroy(),
        () => undefined,
      );
    }
    this.#recordings.clear();
  }

  async compute(
    lease: LeaseMessage,
    input: MicrobatchSource,
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
    this.#turns.begin();
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
    } finally {
      this.#turns.end();
    }
  }

  async #compute(
    lease: LeaseMessage,
    phase: Phase,
    replica: LocalReplica | undefined,
    input: MicrobatchSource,
    aborted: () => boolean,
  ): Promise<LeaseResult | "aborted" | "replica-differs"> {
    const { innerLearningRate: learningRate, weights, codec } = lease;
    const samples = samplesOf(lease.ranges);
    const round = this.#roundBuffers(phase);
    this.#duty.begin();
    round.begin(lease.exponents);
    await replica?.begin();
    let step = 0;
    for (const { from, to } of microbatchesOf(lease.ranges, this.#config.microbatch)) {
      await this.#turns.pass();
      const recording = await this.#recording({ phase, weights, codec }, to - from, round);
      const unpacking = await this.#samples.ready();
      const decoded = await input(from, to);
      if (aborted()) return "aborted";
      step += 1;
      if (learningRate !== undefined) replica?.step({ learningRate, step, samples });
      const encoder = this.#device.createCommandEncoder();
      this.#samples.write(decoded, encoder, unpacking);
      await this.#launch(recording, encoder, aborted);
      if (aborted()) return "aborted";
      if (step > 1 && !this.#improving.has(phase.name)) this.#improveBehind({ phase, weights, codec });
      await this.#pace.submitted(Object.values(decoded).reduce((sum, { byteLength }) => sum + byteLength, 0));
    }
    if (learningRate !== undefined) await replica?.end(phase, round.externals, codecs.get(codec).accumulate);
    const [result, intact] = await Promise.all([round.read(), replica?.intact() ?? true]);
    this.#duty.settled();
    this.#improveOnce({ phase, weights, codec });
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
    this.#turns.close();
    for (const round of this.#rounds.values()) round.destroy();
    this.#slots.destroy();
    this.#samples.destroy();
    this.#dropRecordings();
  }
}

function notFinite(round: RoundBuffers, { peaks }: LeaseSum, lease: LeaseMessage): BitswarmError | undefined {
  const bad = peaks.findIndex((bits) => bits >= FLOAT32_INFINITY_BITS);
  if (bad < 0) return undefined;
  return new BitswarmError(
    "GRADIENT_NOT_FINITE",
    `${round.layout.tensors[bad].name} of positions ${rangesInWords(lease.ranges)} is not finite; nothing was sent`,
  );
}

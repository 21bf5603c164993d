// Drives the run in this process: round after round, each summed, applied, committed to the disk, and only then built
// upon (ARCHITECTURE §3).

import { z } from "zod";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { Range } from "../../../shared/base/intervals.ts";
import { evaluationOf, type Phase, phaseNamed } from "../../../shared/model/phases.ts";
import { sampleWork } from "../../../shared/run/compute.ts";
import { placeOf, type StepPlace } from "../../../shared/run/program.ts";
import { otherValues, shownScore } from "../../../shared/tasks/task.ts";
import { type DownlinkBytes, downlinkBytes } from "../../../shared/wire/downlink-bytes.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { sealMode } from "../../round/deadline.ts";
import type { Ledger } from "../../round/ledger.ts";
import { learningRatesAt } from "../../state/learning-rate.ts";
import { networkScores, scoreOf } from "../../state/scores.ts";
import { progressOf, type RunProgress, recordEvaluation, restoreProgress } from "../../state/training-state.ts";
import type { StepLoss } from "../../state/update.ts";
import { updateBytes } from "../../training/parameter-version.ts";
import { evaluationSubject, type RoundPlan, type RoundSubject, stepSubject } from "../../training/round-plan.ts";
import { startTraining } from "../../training/start-training.ts";
import type { StepResult, Training } from "../../training/training.ts";
import { FEEDBACK_RESETS } from "../../trust/feedback-reset.ts";
import { RunTrust, type RunTrustOptions, type TrustEvent } from "../../trust/run-trust.ts";
import type { Crowd } from "../../trust/size-judge.ts";
import type { StoredTrust } from "../../trust/trust-file.ts";
import { defineEngine, type Engine, type EngineRun, type RunSummary } from "../engine.ts";
import type { OperatorCommand, PassWatch, RunWatch, WorkerWatch } from "../run-watch.ts";
import { stepEvent } from "../step-event.ts";
import type { StepBytes } from "../traffic.ts";
import { Affinity } from "./affinity.ts";
import { engineStatus } from "./engine-status.ts";
import { LocalInbox } from "./local-inbox.ts";
import { type Pace, paced } from "./pace.ts";
import { Planner } from "./planner.ts";
import {
  type Collected,
  type Divergence,
  type MemberWatch,
  type PlacedLease,
  RoundDriver,
  type RoundDriverOptions,
} from "./round-driver.ts";
import { Suspects } from "./suspects.ts";

/** Where standings are kept, what was there, and what draws who is audited. */
/** Odd, and far from any small fraction of 2^32 (the golden ratio's part): successive incarnations' eras lie apart. */
const INCARNATION_STRIDE = 0x9e3779b1;

export interface LocalTrust extends Pick<RunTrustOptions, "store" | "draw"> {
  readonly stored: StoredTrust;
}

export interface LocalEngineOptions
  extends Omit<EngineRun, "state" | "writeCheckpoint" | "trust" | "draw" | "incarnation" | "startTraining"> {
  /** The engine's own from now on. */
  readonly progress: RunProgress;
  /** Holds the numbers that belong to this progress; the engine's own, too. */
  readonly training: Training;
  readonly writeCheckpoint: (progress: RunProgress, ledger: Ledger) => Promise<string>;
  /** Judges contributions and audits them; without it all that is well formed is believed. */
  readonly trust?: LocalTrust;
  readonly incarnation?: number;
  /** Sees each lease as it is granted. */
  readonly onGrant?: (lease: PlacedLease, plan: RoundPlan) => void;
  /** Sees each sum before it is applied. */
  readonly onSealed?: (plan: RoundPlan, collected: Collected) => void;
  /** Who speaks to gateways, where there may be some beside its own workers. */
  readonly gateways?: GatewayHooks;
}

/** What whoever speaks to gateways is told of the rounds, and what it knows that rounds do not. */
export interface GatewayHooks {
  /** A round is about to open, before anything of it is leased; and it is open. */
  readonly onOpening: (plan: RoundPlan) => void;
  readonly onOpened: (plan: RoundPlan) => void;
  /** Something has changed in the rounds. */
  readonly onChange: () => void;
  /** Steps were undone: no sum of a round before is one of theirs. */
  readonly onUndone: () => void;
  /** Gateways that take part, and volunteers and accounts at all of them. */
  readonly crowd: () => { readonly gateways: number; readonly workers: number; readonly accounts: number };
  /** Trust where there are other gateways; without it all is judged and decided here. */
  readonly beyond?: TrustBeyond;
  /** What the round waits for, where gateways know more of it than rounds do. */
  readonly reason: (rounds: string) => string;
}

/** What trust at one place is told of all others. */
export interface TrustBeyond extends Crowd, Required<Pick<RoundDriverOptions, "onAway" | "onOrdered" | "onDeclined">> {}

/** What whoever speaks to gateways tells the rounds, and asks of them. */
export type GatewayRounds = Pick<
  RoundDriver,
  | "join"
  | "leave"
  | "giveBack"
  | "stated"
  | "adopt"
  | "allLeasesOf"
  | "leaseOut"
  | "covered"
  | "trimmed"
  | "partial"
  | "split"
  | "closing"
  | "unleased"
  | "sumsDue"
  | "progress"
  | "accounts"
  | "ownTakesPart"
  | "isOwn"
  | "want"
  | "awayHome"
  | "awayOver"
  | "awayAnswer"
>;

export class LocalEngine implements Engine {
  readonly inbox: LocalInbox;
  /** For whoever speaks to gateways. */
  readonly gateways: GatewayRounds;
  readonly #rounds: RoundDriver;
  readonly #trust: RunTrust | undefined;
  readonly #options: LocalEngineOptions;
  readonly #target: number;
  readonly #planner: Planner;
  #evaluating: Phase | undefined;
  #stopping = false;
  /** Whoever runs this wants it to pause when the step in hand is done. */
  #pausing = false;
  #paused = false;
  #checkpointWanted = false;
  /** Ends a pause, or has it looked at what else was asked for. */
  #wake = () => {};
  #done = false;
  #pace: Pace = new Map();
  #loss: Partial<StepLoss> = {};
  #batchScore: number | undefined;
  /** What the sockets carried for the last step. */
  #bytes: StepBytes | undefined;
  /** What a volunteer fetches on joining, by phase. */
  readonly #whole = new Map<string, DownlinkBytes>();
  #checkpoint: { readonly path: string; readonly step: number } | undefined;
  /** What a sample of each phase takes. */
  readonly #work: ReadonlyMap<string, number>;
  readonly #suspects = new Suspects();
  /** The operator's own have computed what counted: that they now cannot is no fault of their devices. */
  #ownCounted = false;
  /** How often steps were undone: what workers kept of them is void. */
  #undone = 0;

  /** Starts what keeps the numbers and reads what accounts have earned. @throws THREAD_FAILED */
  static async open({ state, trust, draw, startTraining: start = startTraining, ...run }: EngineRun) {
    const progress = progressOf(state);
    const training = await start(state, run.runTag);
    return new LocalEngine({
      ...run,
      progress,
      training,
      writeCheckpoint: async (committed, ledger) => {
        return run.writeCheckpoint(await training.checkpoint(run.run), committed, ledger);
      },
      trust: { store: trust, stored: await trust.read(), draw },
    });
  }

  constructor(options: LocalEngineOptions) {
    this.#options = options;
    const { progress, training, clock, outbox, onEvent, onGrant, resumedFrom, trust, runTag, firstLease } = options;
    const { config, program, step, norms, peaks } = progress;
    const { microbatch, lease } = config;
    this.#work = sampleWork(program, progress.networks);
    this.#planner = new Planner({ training, progress, runTag });
    this.#target = Math.min(options.maxSteps ?? Infinity, program.steps);
    if (resumedFrom !== undefined) this.#checkpoint = { path: resumedFrom, step };
    const hear = (event: TrustEvent) => this.#hear(event);
    const { gateways } = options;
    const beyond = gateways?.beyond;
    const elsewhere = beyond && { crowd: beyond, away: true };
    const judged = { config: config.trust, norms, peaks, clock, onEvent: hear, ...elsewhere };
    const runTrust = trust && new RunTrust({ ...trust, ...judged }, trust.stored);
    this.#trust = runTrust;
    this.#rounds = new RoundDriver({
      outbox,
      microbatch,
      lease,
      training,
      shareLimit: config.trust.accountWeight,
      ...(runTrust === undefined ? {} : { trust: runTrust.rounds }),
      ...(firstLease === undefined ? {} : { firstLease }),
      ...(onGrant === undefined ? {} : { onGrant }),
      ...(options.sampleChecks === undefined ? {} : { sampleChecks: options.sampleChecks }),
      clock,
      // What gateways are leased are the pass's positions themselves, as a new leader adopts them.
      affinity: new Affinity({
        wanted: lease.affinity && !gateways,
        seed: config.seed,
        microbatch,
        dataset: progress.dataset,
      }),
      ...(gateways && {
        onOpening: (plan) => gateways.onOpening(plan),
        onOpened: (plan) => gateways.onOpened(plan),
        onChange: () => gateways.onChange(),
      }),
      ...(beyond && { onAway: beyond.onAway, onOrdered: beyond.onOrdered, onDeclined: beyond.onDeclined }),
      onRequeue: ({ lease: { worker }, ranges }, cause) => onEvent({ type: "requeued", worker, ranges, cause }),
      onBackup: ({ lease: { worker }, ranges }, of) => onEvent({ type: "backed-up", worker, ranges, of }),
    });
    this.gateways = this.#rounds;
    const watched = runTrust === undefined ? {} : { trust: runTrust };
    this.inbox = new LocalInbox({ rounds: this.#rounds, ...watched, outbox, onEvent });
  }

  #hear(event: TrustEvent): void {
    const { onEvent, outbox } = this.#options;
    switch (event.type) {
      case "rests":
        onEvent({ ...event, ms: Math.round(event.ms) });
        this.inbox.rest(event.account, event.ms);
        break;
      case "answered":
        outbox.audited(event.worker);
        break;
      case "audited": {
        const { type, from, to, right, wrong } = event;
        onEvent({ type, ranges: this.#rounds.positionsOf({ from, to }), right, wrong });
        break;
      }
      case "notice":
        onEvent(event);
        break;
      default:
        event satisfies never;
    }
  }

  /** What is usual of the rounds so far. */
  get usual(): Pick<RunProgress, "norms" | "peaks"> {
    return this.#options.progress;
  }

  /** What accounts have earned; nothing where nobody is judged. */
  get trust(): Pick<RunTrust, "standings" | "standingOf" | "verdict"> | undefined {
    return this.#trust;
  }

  async run(): Promise<RunSummary> {
    const { progress, onEvent } = this.#options;
    const notice = this.#trust?.notice ?? null;
    if (notice !== null) onEvent({ type: "notice", message: notice });
    // From the first moment on there is something to resume from.
    if (!this.#checkpoint) await this.#writeCheckpoint();
    for (;;) {
      const evaluated = await this.#evaluateIfDue();
      await this.#betweenSteps();
      if (this.#stopping) break;
      if (!evaluated) continue;
      if (progress.step >= this.#target) break;
      const place = await this.#trainStep();
      if (place === "undone" || place === "dropped") continue;
      if (this.#checkpointDue(place)) await this.#writeCheckpoint();
    }
    if (this.#checkpoint?.step !== progress.step) await this.#writeCheckpoint();
    this.#done = !this.#stopping;
    return this.#summary();
  }

  stop(): void {
    this.#stopping = true;
    this.#rounds.stop();
    this.#wake();
  }

  /** Ends at once, as another coordinator has the run. */
  abandon(): void {
    this.#stopping = true;
    this.#rounds.abandon();
    this.#wake();
  }

  async operate(command: OperatorCommand): Promise<undefined> {
    switch (command.type) {
      case "pause":
        this.#pausing = true;
        this.#rounds.interrupt(true);
        break;
      case "go-on":
        this.#pausing = false;
        this.#wake();
        break;
      case "checkpoint":
        this.#checkpointWanted = true;
        this.#rounds.interrupt(true);
        this.#wake();
        break;
      case "drain":
        this.inbox.drain(command.worker);
        break;
      case "stop":
        this.stop();
        break;
      default:
        command satisfies never;
    }
    return undefined;
  }

  /** Does what was asked for while a step was computed, and waits while the run is paused. */
  async #betweenSteps(): Promise<void> {
    const { progress, onEvent } = this.#options;
    while (!this.#stopping) {
      if (this.#checkpointWanted) {
        if (this.#checkpoint?.step !== progress.step) await this.#writeCheckpoint();
        this.#checkpointWanted = false;
      }
      if (this.#paused !== this.#pausing) {
        this.#paused = this.#pausing;
        const what = this.#paused ? "paused" : "goes on";
        onEvent({ type: "notice", message: `the run ${what} after step ${progress.step}, as whoever runs it asked` });
      }
      this.#rounds.interrupt(false);
      if (!this.#paused) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #summary(): Promise<RunSummary> {
    const { progress, training, ledger } = this.#options;
    const { pass } = this.#lastPlace();
    const paramsHash = await training.parametersHash(pass.network);
    return {
      finished: this.#done,
      step: progress.step,
      steps: progress.program.steps,
      epoch: pass.epoch,
      samples: ledger.samples,
      scores: networkScores(progress),
      paramsHash,
      checkpoint: this.#checkpoint?.path ?? "",
    };
  }

  status(): RunStatus {
    const { progress, run, ledger, gateways, loopDelay = () => null } = this.#options;
    const status = engineStatus({
      run,
      progress,
      ledger,
      rounds: this.#rounds,
      target: this.#target,
      phase: this.#done ? "done" : this.#stopping ? "stopping" : "running",
      evaluating: this.#evaluating,
      pace: this.#pace,
      loss: this.#loss,
      batchScore: this.#batchScore,
      bytes: this.#bytes,
      loopDelay: loopDelay(),
      downlink: this.#downlink(),
      work: this.#work,
      paused: this.#paused,
    });
    if (!gateways) return status;
    const crowd = gateways.crowd();
    const workers = status.workers - crowd.gateways + crowd.workers;
    return { ...status, workers, reason: this.#done || this.#paused ? status.reason : gateways.reason(status.reason) };
  }

  watch(): RunWatch {
    const { workers, collected, out } = this.#rounds.watch();
    return {
      paused: this.#paused ? "yes" : this.#pausing ? "soon" : "no",
      checkpointStep: this.#checkpoint?.step ?? null,
      checkpointWanted: this.#checkpointWanted,
      pass: this.#watchPass(collected, out),
      workers: this.#watchWorkers(workers),
    };
  }

  /** Field by field: with a thousand workers copies of whole objects are most of what a look costs. */
  #watchWorkers(members: readonly MemberWatch[]): readonly WorkerWatch[] {
    const workers: WorkerWatch[] = [];
    for (const { worker, activity, overdue, samplesPerSecond, leases, held, samples } of members) {
      const joined = this.inbox.member(worker);
      if (!joined) continue;
      const { account, name, runtime, adapter, own = false } = joined;
      const draining = this.inbox.isDraining(worker);
      workers.push({
        worker,
        account,
        name,
        runtime,
        adapter,
        own,
        activity,
        overdue,
        draining,
        samplesPerSecond,
        leases,
        held,
        samples,
        audits: this.#auditsOf(account),
      });
    }
    return workers;
  }

  #auditsOf(account: string): WorkerWatch["audits"] {
    const standing = this.#trust?.standingOf(account);
    return standing ? { confirmed: standing.consecutiveValid, against: standing.strikes } : null;
  }

  #watchPass(collected: readonly Range[], leased: readonly Range[]): PassWatch {
    const { program, step, config, dataset } = this.#options.progress;
    if (this.#evaluating) {
      const { title } = this.#evaluating;
      return { title, samples: dataset.test.samples, committed: [], collected, leased };
    }
    const { pass } = placeOf(program, Math.min(step, program.steps - 1), config.batch);
    const { ranges: committed } = this.#options.ledger.committed(pass);
    return { title: phaseNamed(program, pass.phase).title, samples: pass.samples, committed, collected, leased };
  }

  /** What a volunteer fetches for the round at hand, or for the next. */
  #downlink(): NonNullable<RunStatus["downlink"]> {
    const { networks, config, program, step } = this.#options.progress;
    const next = placeOf(program, Math.min(step, program.steps - 1), config.batch).pass.phase;
    const phase = this.#evaluating ?? phaseNamed(program, next);
    const known = this.#whole.get(phase.name) ?? downlinkBytes(networks, config, phase);
    this.#whole.set(phase.name, known);
    return { ...known, updateBytes: updateBytes(this.#rounds.parameters) };
  }

  blob(name: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#planner.blob(name);
  }

  async close(): Promise<void> {
    await this.#options.training.close();
    await this.#trust?.saved();
  }

  /** Place of the last committed step; before the first, of that. */
  #lastPlace(): StepPlace {
    const { program, step, config } = this.#options.progress;
    return placeOf(program, Math.max(0, step - 1), config.batch);
  }

  /**
   * What is resumed from a checkpoint starts without error feedback, so whoever goes on past it does too. Incarnations
   * are far apart, and what resets add stays below 2^32: every msgpack library writes that as an integer.
   */
  #era(): number {
    const life = (this.#options.incarnation ?? 0) + this.#undone;
    const place = life * INCARNATION_STRIDE + (this.#checkpoint?.step ?? 0);
    return (place % (2 ** 32 / FEEDBACK_RESETS)) * FEEDBACK_RESETS;
  }

  /** @throws GRADIENT_NOT_FINITE where the training has diverged without anybody's work but the operator's own */
  async #collect(subject: RoundSubject): Promise<Collected | "dropped" | "undone"> {
    const plan = await this.#planner.plan(subject, this.#era());
    const collected = await this.#rounds.collect(plan, this.#ownCounted && this.#suspects.last !== undefined);
    if (collected === "dropped") return collected;
    if ("diverged" in collected) {
      await this.#undo(collected);
      return "undone";
    }
    this.#options.onSealed?.(plan, collected);
    this.#pace = paced(this.#pace, subject.phase.name, collected.samples, collected.workedMs);
    return collected;
  }

  /**
   * Goes back to before the newest step that holds strangers' work. Their word alone ends no run, so where they have
   * nothing to be left out it is collected again.
   * @throws the divergence where it is nobody's but the operator's own
   */
  async #undo({ diverged, own }: Divergence): Promise<void> {
    const { progress, training, ledger, log, rewind, onEvent } = this.#options;
    const { last } = this.#suspects;
    const rewound = last === undefined ? undefined : await rewind?.(last - 1);
    if (!rewound) {
      if (own) throw diverged;
      onEvent({ type: "notice", message: `${diverged.message}. Only strangers say so: the run goes on` });
      return;
    }
    const { step } = progress;
    const { parts, checkpoint } = rewound;
    const to = parts.step ?? 0;
    const accounts = this.#suspects.takeAfter(to);
    restoreProgress(progress, parts);
    ledger.become(rewound.ledger);
    await training.restore(parts);
    this.#undone++;
    this.#options.gateways?.onUndone();
    for (const account of accounts) this.#rounds.rest(account);
    this.#trust?.suspect(accounts);
    onEvent({ type: "undone", step, to, accounts, message: diverged.message });
    // First, for it removes the newer ones: whoever resumes from here must find none of what is undone.
    await this.#writeCheckpoint();
    await log.append({ type: "resume", fromStep: to, checkpoint });
  }

  /** Makes the step of what was collected; `undone` where its numbers are lost. */
  async #apply(place: StepPlace, { strangers }: Collected): Promise<StepResult | "undone"> {
    const { training, progress } = this.#options;
    try {
      return await training.apply(place);
    } catch (error) {
      if (!(error instanceof BitswarmError && error.code === "GRADIENT_NOT_FINITE")) throw error;
      this.#rounds.giveUp();
      this.#suspects.add(progress.step + 1, strangers);
      await this.#undo({ diverged: error, own: true });
      return "undone";
    }
  }

  /** One step from its round to the disk. */
  async #trainStep(): Promise<StepPlace | "undone" | "dropped"> {
    const { progress, ledger, log, traffic, onEvent } = this.#options;
    const { config } = progress;
    const { subject, place } = stepSubject(progress, ledger);
    const collected = await this.#collect(subject);
    if (collected === "dropped" || collected === "undone") return collected;
    const { pass } = place;
    const ranges = collected.ranges.map(({ from, to }): [number, number] => [from, to]);
    ledger.commitStep(place, ranges, config.batch, sealMode(config));
    const applied = await this.#apply(place, collected);
    if (applied === "undone") return applied;
    const { loss, score, paramsHash } = applied;
    const rates = learningRatesAt(config, progress.program, progress.networks, progress.step);
    const step = ++progress.step;
    this.#suspects.add(step, collected.strangers);
    this.#ownCounted ||= collected.own;
    this.#rounds.applied();
    const { phase, network, epoch } = pass;
    const { samples } = collected;
    const record = { type: "step", step, pass: pass.index, phase, epoch, ranges, samples, paramsHash } as const;
    await log.append(record);
    this.#rounds.committed();
    this.#loss = loss;
    this.#batchScore = score;
    const carried = ledger.carried({ pass, from: place.to }).reduce((sum, { from, to }) => sum + to - from, 0);
    if (carried > 0) onEvent({ type: "carried", step, samples: carried });
    const { workers } = this.#rounds;
    const bytes = traffic.take(workers);
    this.#bytes = bytes;
    const { workedMs } = collected;
    onEvent(
      stepEvent(record, applied, progress, { network, samples: ledger.samples, workedMs, workers, bytes, rates }),
    );
    return place;
  }

  #checkpointDue({ pass, last }: StepPlace): boolean {
    const { step, config, program } = this.#options.progress;
    if (step % config.checkpoint.everySteps === 0) return true;
    return last && program.passes[pass.index + 1]?.phase !== pass.phase;
  }

  /** What the step just committed calls to be evaluated and has not been. */
  #evaluationsDue(): Phase[] {
    const { step, program, evaluations, evaluatedAt } = this.#options.progress;
    if (step === 0) return [];
    const { pass, last } = this.#lastPlace();
    const wanted = step === this.#target || (last && pass.evaluate);
    const due = wanted && evaluatedAt[pass.network] !== step ? [pass.network] : [];
    // One that came from a file was never evaluated on the way.
    const strangers = Object.keys(evaluations).filter((name) => evaluations[name] === null && !due.includes(name));
    const all = step === program.steps ? [...due, ...strangers] : due;
    return all.flatMap((network) => evaluationOf(program, network) ?? []);
  }

  /** False where it was dropped, and is due again. */
  async #evaluateIfDue(): Promise<boolean> {
    for (const phase of this.#evaluationsDue()) {
      const outcome = this.#stopping ? "dropped" : await this.#evaluate(phase);
      if (outcome !== "done") return outcome !== "dropped";
      await this.#writeCheckpoint();
    }
    return true;
  }

  async #evaluate(phase: Phase): Promise<"done" | "dropped" | "undone"> {
    const { progress, log, onEvent } = this.#options;
    const { step } = progress;
    const { network } = phase;
    this.#evaluating = phase;
    try {
      const collected = await this.#collect(evaluationSubject(progress, phase));
      if (collected === "dropped" || collected === "undone") return collected;
      this.#rounds.applied();
      const score = scoreOf(progress.config);
      const value = score.of(collected.metrics);
      const others = otherValues(score, collected.metrics, progress.dataset.classes);
      const beside = Object.keys(others).length > 0 ? { others } : {};
      await log.append({ type: "evaluate", step, network, score: score.name, value, ...beside });
      recordEvaluation(progress, network, value, others);
      this.#rounds.committed();
      onEvent({ type: "evaluation", step, network, score: shownScore(score, value, others) });
      return "done";
    } finally {
      this.#evaluating = undefined;
    }
  }

  async #writeCheckpoint(): Promise<void> {
    const { progress, ledger, writeCheckpoint, onEvent } = this.#options;
    const { step } = progress;
    const path = await writeCheckpoint(progress, ledger);
    // Written again with an evaluation, it is no news.
    if (this.#checkpoint?.step !== step) onEvent({ type: "checkpoint", step, path });
    this.#checkpoint = { path, step };
  }
}

export const localEngine = defineEngine({
  kind: "local",
  schema: z.strictObject({ kind: z.literal("local") }),
  open: (_options, run) => LocalEngine.open(run),
});

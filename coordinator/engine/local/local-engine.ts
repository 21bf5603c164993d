// Drives the run in this process: round after round, each summed, applied, committed to the disk, and only then built
// upon (ARCHITECTURE §3).

import { z } from "zod";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { evaluationOf, type Phase } from "../../../shared/model/phases.ts";
import { placeOf, type StepPlace } from "../../../shared/run/program.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { sealMode } from "../../round/deadline.ts";
import type { Lease } from "../../round/lease.ts";
import type { Ledger } from "../../round/ledger.ts";
import { networkScores, scoreOf } from "../../state/scores.ts";
import { progressOf, type RunProgress, recordEvaluation, restoreProgress } from "../../state/training-state.ts";
import type { StepLoss } from "../../state/update.ts";
import { evaluationSubject, type RoundPlan, type RoundSubject, stepSubject } from "../../training/round-plan.ts";
import { startTraining } from "../../training/start-training.ts";
import type { StepResult, Training } from "../../training/training.ts";
import { FEEDBACK_RESETS } from "../../trust/feedback-reset.ts";
import { RunTrust, type RunTrustOptions, type TrustEvent } from "../../trust/run-trust.ts";
import type { StoredTrust } from "../../trust/trust-file.ts";
import { defineEngine, type Engine, type EngineRun, type RunSummary } from "../engine.ts";
import type { StepBytes } from "../traffic.ts";
import { engineStatus } from "./engine-status.ts";
import { LocalInbox } from "./local-inbox.ts";
import { type Pace, paced } from "./pace.ts";
import { Planner } from "./planner.ts";
import { type Collected, type Divergence, RoundDriver } from "./round-driver.ts";
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
  readonly onGrant?: (lease: Lease, plan: RoundPlan) => void;
  /** Sees each sum before it is applied. */
  readonly onSealed?: (plan: RoundPlan, collected: Collected) => void;
}

export class LocalEngine implements Engine {
  readonly inbox: LocalInbox;
  readonly #rounds: RoundDriver;
  readonly #trust: RunTrust | undefined;
  readonly #options: LocalEngineOptions;
  readonly #target: number;
  readonly #planner: Planner;
  #evaluating: Phase | undefined;
  #stopping = false;
  #done = false;
  #pace: Pace = new Map();
  #loss: Partial<StepLoss> = {};
  #batchScore: number | undefined;
  /** What the sockets carried for the last step. */
  #bytes: StepBytes | undefined;
  #checkpoint: { readonly path: string; readonly step: number } | undefined;
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
    this.#planner = new Planner({ training, progress, runTag });
    this.#target = Math.min(options.maxSteps ?? Infinity, program.steps);
    if (resumedFrom !== undefined) this.#checkpoint = { path: resumedFrom, step };
    const hear = (event: TrustEvent) => this.#hear(event);
    const runTrust =
      trust && new RunTrust({ ...trust, config: config.trust, norms, peaks, clock, onEvent: hear }, trust.stored);
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
      clock,
      onRequeue: ({ worker, from, to }, cause) => onEvent({ type: "requeued", worker, from, to, cause }),
      onBackup: ({ worker, from, to }, of) => onEvent({ type: "backed-up", worker, from, to, of }),
    });
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
      case "audited":
      case "notice":
        onEvent(event);
        break;
      default:
        event satisfies never;
    }
  }

  async run(): Promise<RunSummary> {
    const { progress, onEvent } = this.#options;
    const notice = this.#trust?.notice ?? null;
    if (notice !== null) onEvent({ type: "notice", message: notice });
    // From the first moment on there is something to resume from.
    if (!this.#checkpoint) await this.#writeCheckpoint();
    for (;;) {
      await this.#evaluateIfDue();
      if (this.#stopping || progress.step >= this.#target) break;
      const place = await this.#trainStep();
      if (place === "undone") continue;
      if (!place) break;
      if (this.#checkpointDue(place)) await this.#writeCheckpoint();
    }
    if (this.#checkpoint?.step !== progress.step) await this.#writeCheckpoint();
    this.#done = !this.#stopping;
    return this.#summary();
  }

  stop(): void {
    this.#stopping = true;
    this.#rounds.stop();
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
    const { progress, run, ledger, loopDelay = () => null } = this.#options;
    return engineStatus({
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
    });
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

  /** One step from its round to the disk; nothing where it was dropped. */
  async #trainStep(): Promise<StepPlace | "undone" | undefined> {
    const { progress, ledger, log, traffic, onEvent } = this.#options;
    const { config } = progress;
    const { subject, place } = stepSubject(progress, ledger);
    const collected = await this.#collect(subject);
    if (collected === "dropped") return undefined;
    if (collected === "undone") return collected;
    const { pass } = place;
    const ranges = collected.ranges.map(({ from, to }): [number, number] => [from, to]);
    ledger.commitStep(place, ranges, config.batch, sealMode(config));
    const applied = await this.#apply(place, collected);
    if (applied === "undone") return applied;
    const { loss, score, paramsHash } = applied;
    const step = ++progress.step;
    this.#suspects.add(step, collected.strangers);
    this.#ownCounted ||= collected.own;
    this.#rounds.applied();
    const { phase, epoch } = pass;
    await log.append({
      type: "step",
      step,
      pass: pass.index,
      phase,
      epoch,
      ranges,
      samples: collected.samples,
      paramsHash,
    });
    this.#rounds.committed();
    this.#loss = loss;
    this.#batchScore = score;
    const carried = ledger.carried({ pass, from: place.to }).reduce((sum, { from, to }) => sum + to - from, 0);
    if (carried > 0) onEvent({ type: "carried", step, samples: carried });
    const { workers } = this.#rounds;
    const bytes = traffic.take(workers);
    this.#bytes = bytes;
    const named = { name: scoreOf(progress.config).name, value: score };
    onEvent({ type: "step", step, epoch, loss, score: named, samples: ledger.samples, workers, paramsHash, bytes });
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

  async #evaluateIfDue(): Promise<void> {
    for (const phase of this.#evaluationsDue()) {
      if (this.#stopping || !(await this.#evaluate(phase))) return;
      await this.#writeCheckpoint();
    }
  }

  async #evaluate(phase: Phase): Promise<boolean> {
    const { progress, log, onEvent } = this.#options;
    const { step } = progress;
    const { network } = phase;
    this.#evaluating = phase;
    try {
      const collected = await this.#collect(evaluationSubject(progress, phase));
      if (collected === "dropped" || collected === "undone") return false;
      this.#rounds.applied();
      const score = scoreOf(progress.config);
      const value = score.of(collected.metrics);
      await log.append({ type: "evaluate", step, network, score: score.name, value });
      recordEvaluation(progress, network, value);
      this.#rounds.committed();
      onEvent({ type: "evaluation", step, network, score: shownScore(score, value) });
      return true;
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

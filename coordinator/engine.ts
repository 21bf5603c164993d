// Drives the run in this process: round after round, each summed, applied, committed to the disk, and only then built upon (ARCHITECTURE §3).

import type { NetworkName } from "../shared/networks.ts";
import { type Pass, placeOf, type StepPlace } from "../shared/program.ts";
import type { RunStatus } from "../shared/protocol.ts";
import type { Clock } from "./clock.ts";
import type { CommitLog } from "./commit-log.ts";
import { sealMode } from "./deadline.ts";
import { Downlink } from "./downlink.ts";
import type { Ledger } from "./ledger.ts";
import type { Outbox } from "./outbox.ts";
import { type Pace, paced, remainingSeconds, samplesPerSecond } from "./pace.ts";
import { type Collected, RoundDriver } from "./round-driver.ts";
import { contributionLimit, type PlanContext, planEvaluation, planStep, type RoundPlan } from "./round-plan.ts";
import type { OnRunEvent } from "./run-event.ts";
import type { Traffic } from "./traffic.ts";
import { frozenTeacher, parametersHash, recordEvaluation, type TrainingState } from "./training-state.ts";
import { VOIDS } from "./trust/feedback-doubts.ts";
import type { RoundTrust } from "./trust/round-trust.ts";
import { applyRound, evaluationResult, type StepLoss } from "./update.ts";

export interface EngineOptions {
  /** The run's id. */
  readonly run: string;
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
  readonly state: TrainingState;
  readonly ledger: Ledger;
  readonly log: Pick<CommitLog, "append">;
  /** Makes what is committed last: resolves with the checkpoint's folder when all of it is on the disk. */
  readonly writeCheckpoint: (state: TrainingState, ledger: Ledger) => Promise<string>;
  readonly outbox: Outbox;
  /** Judges contributions and audits them; without it all that is well formed is believed. */
  readonly trust?: RoundTrust;
  /** What the outbox's sockets carry. */
  readonly traffic: Traffic;
  /** Folder of the checkpoint that the state is from; none for a fresh run. */
  readonly resumedFrom?: string;
  /** Below 2^20; another each time that a run is started or resumed, so that what workers keep of before is void. */
  readonly incarnation?: number;
  /** The run ends when so many steps are committed; by default at the end of its program. */
  readonly maxSteps?: number;
  readonly clock: Clock;
  readonly onEvent: OnRunEvent;
  /** Sees each sum before it is applied. */
  readonly onSealed?: (plan: RoundPlan, collected: Collected) => void;
}

export interface RunSummary {
  /** The run came to its end; false where it was stopped. */
  readonly finished: boolean;
  readonly step: number;
  /** Of the whole program. */
  readonly steps: number;
  readonly epoch: number;
  readonly samples: number;
  readonly testAccuracy: number | null;
  readonly teacherAccuracy: number | null;
  readonly paramsHash: string;
  /** Folder of the newest checkpoint. */
  readonly checkpoint: string;
}

/** The phase of a pass in words; epochs are counted from 1 here, as people do. */
function phaseName({ kind, epoch }: Pass, epochs: number): string {
  const names = { teacher: "teacher", student: "1-bit student", bn: "batch norm" } as const;
  return `${names[kind]}, epoch ${epoch + 1}/${epochs}`;
}

export class LocalEngine {
  /** Where what the workers do goes in. */
  readonly rounds: RoundDriver;
  readonly #options: EngineOptions;
  readonly #target: number;
  readonly #downlink: Downlink;
  #round = 0;
  #evaluating: NetworkName | undefined;
  #stopping = false;
  #done = false;
  #pace: Pace = new Map();
  #loss: Partial<StepLoss> = {};
  #checkpoint: { readonly path: string; readonly step: number } | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    const { state, clock, outbox, onEvent, resumedFrom, trust } = options;
    const { microbatch, lease } = state.config;
    this.#downlink = new Downlink({ runTag: options.runTag, config: state.config, networks: state.networks });
    this.#target = Math.min(options.maxSteps ?? Infinity, state.program.steps);
    if (resumedFrom !== undefined) this.#checkpoint = { path: resumedFrom, step: state.step };
    this.rounds = new RoundDriver({
      outbox,
      microbatch,
      lease,
      contributionLimit: contributionLimit(state),
      shareLimit: state.config.trust.accountWeight,
      ...(trust === undefined ? {} : { trust }),
      clock,
      onRequeue: ({ worker, from, to }, cause) => onEvent({ type: "requeued", worker, from, to, cause }),
      onBackup: ({ worker, from, to }, of) => onEvent({ type: "backed-up", worker, from, to, of }),
    });
  }

  /** Runs to the end, or until stop(). The newest checkpoint then holds everything that was committed. */
  async run(): Promise<RunSummary> {
    const { state } = this.#options;
    // From the first moment on there is something to resume from.
    if (!this.#checkpoint) await this.#writeCheckpoint();
    await this.#evaluateIfDue();
    while (!this.#stopping && state.step < this.#target) {
      const place = await this.#trainStep();
      if (!place) break;
      if (this.#checkpointDue(place)) await this.#writeCheckpoint();
      await this.#evaluateIfDue();
    }
    if (this.#checkpoint?.step !== state.step) await this.#writeCheckpoint();
    this.#done = !this.#stopping;
    return this.summary();
  }

  /** Finishes the step where somebody computes it, writes a checkpoint, and lets run() end. */
  stop(): void {
    this.#stopping = true;
    this.rounds.stop();
  }

  summary(): RunSummary {
    const { state, ledger } = this.#options;
    const { pass } = this.#lastPlace();
    return {
      finished: this.#done,
      step: state.step,
      steps: state.program.steps,
      epoch: pass.epoch,
      samples: ledger.samples,
      testAccuracy: state.evaluations.student,
      teacherAccuracy: state.evaluations.teacher,
      paramsHash: parametersHash(state, pass.network),
      checkpoint: this.#checkpoint?.path ?? "",
    };
  }

  status(): RunStatus {
    const { state, run, ledger } = this.#options;
    const { config, program, dataset, step } = state;
    const next = placeOf(program, Math.min(step, program.steps - 1), config.batch);
    const { pass } = this.#evaluating ? this.#lastPlace() : next;
    const { collected, wanted } = this.rounds.progress;
    const epochs = pass.kind === "teacher" ? config.teacher.epochs : config.epochs;
    return {
      run,
      name: config.name,
      state: this.#stateName(),
      phase: this.#evaluating
        ? `evaluating the ${this.#evaluating} (${phaseName(pass, epochs)})`
        : phaseName(pass, epochs),
      step,
      steps: this.#target,
      epoch: pass.epoch,
      collected,
      wanted,
      workers: this.rounds.workers,
      samples: ledger.samples,
      samplesPerSecond: samplesPerSecond(this.#pace, this.#evaluating ? "evaluate" : pass.kind),
      etaSeconds: remainingSeconds(this.#pace, {
        program,
        batch: config.batch,
        testSamples: dataset.test.samples,
        step,
        target: this.#target,
        evaluating: this.#evaluating ? wanted - collected : 0,
      }),
      reason: this.rounds.reason,
      loss: { ...this.#loss } as Record<string, number>,
      testAccuracy: state.evaluations.student,
      teacherAccuracy: state.evaluations.teacher,
    };
  }

  /** Bytes by their SHA-256: those of the teacher. */
  blob(sha256: string): Uint8Array<ArrayBuffer> | undefined {
    const { state } = this.#options;
    if (state.teacher.size === 0) return undefined;
    const { bytes, hash } = frozenTeacher(state);
    return hash === sha256 ? bytes : undefined;
  }

  #stateName(): RunStatus["state"] {
    if (this.#done) return "done";
    if (this.#stopping) return "stopping";
    if (this.rounds.workers === 0) return "waiting";
    return this.#evaluating ? "evaluating" : "training";
  }

  /** Place of the last committed step; before the first, of that. */
  #lastPlace(): StepPlace {
    const { program, step, config } = this.#options.state;
    return placeOf(program, Math.max(0, step - 1), config.batch);
  }

  /** What is resumed from a checkpoint starts without error feedback, so whoever goes on past it does too. */
  #era(): number {
    const checkpoint = (this.#checkpoint?.step ?? 0) * VOIDS;
    return (this.#options.incarnation ?? 0) * 2 ** 32 + (checkpoint % 2 ** 32);
  }

  #context(): PlanContext {
    const { state, runTag } = this.#options;
    return { state, runTag, downlink: this.#downlink, round: ++this.#round, era: this.#era() };
  }

  async #collect(plan: RoundPlan): Promise<Collected | "dropped"> {
    const collected = await this.rounds.collect(plan);
    if (collected === "dropped") return collected;
    this.#options.onSealed?.(plan, collected);
    this.#pace = paced(this.#pace, plan.terms.kind, collected.sum.samples, collected.elapsedMs);
    return collected;
  }

  /** One step from its round to the disk; nothing where it was dropped. */
  async #trainStep(): Promise<StepPlace | undefined> {
    const { state, ledger, log, traffic, onEvent } = this.#options;
    const { plan, place } = planStep(this.#context(), ledger);
    const collected = await this.#collect(plan);
    if (collected === "dropped") return undefined;
    const { pass } = place;
    const ranges = collected.ranges.map(({ from, to }): [number, number] => [from, to]);
    const { batch } = state.config;
    ledger.commitStep(place, ranges, batch, sealMode(state.config));
    const loss = applyRound(state, place, collected.sum);
    this.rounds.applied();
    const { step } = state;
    const paramsHash = parametersHash(state, pass.network);
    const { kind, epoch } = pass;
    await log.append({
      type: "step",
      step,
      pass: pass.index,
      kind,
      epoch,
      ranges,
      samples: collected.sum.samples,
      paramsHash,
    });
    this.rounds.committed();
    this.#loss = loss;
    const carried = ledger.carried({ pass, from: place.to }).reduce((sum, { from, to }) => sum + to - from, 0);
    if (carried > 0) onEvent({ type: "carried", step, samples: carried });
    const { workers } = this.rounds;
    const bytes = traffic.take(workers);
    onEvent({ type: "step", step, epoch, loss, samples: ledger.samples, workers, paramsHash, bytes });
    return place;
  }

  #checkpointDue({ pass, last }: StepPlace): boolean {
    const { step, config, program } = this.#options.state;
    if (step % config.checkpoint.everySteps === 0) return true;
    return last && program.passes[pass.index + 1]?.kind !== pass.kind;
  }

  /** What the step just committed calls to be evaluated and has not been. */
  #evaluationsDue(): NetworkName[] {
    const { step, program, evaluations, evaluatedAt, teacher } = this.#options.state;
    if (step === 0) return [];
    const { pass, last } = this.#lastPlace();
    const wanted = step === this.#target || (last && pass.evaluate);
    const due = wanted && evaluatedAt[pass.network] !== step ? [pass.network] : [];
    // One that came from a file was never evaluated on the way.
    const stranger = step === program.steps && teacher.size > 0 && evaluations.teacher === null;
    return stranger ? [...due, "teacher"] : due;
  }

  async #evaluateIfDue(): Promise<void> {
    for (const network of this.#evaluationsDue()) {
      if (this.#stopping || !(await this.#evaluate(network))) return;
      await this.#writeCheckpoint();
    }
  }

  async #evaluate(network: NetworkName): Promise<boolean> {
    const { state, log, onEvent } = this.#options;
    this.#evaluating = network;
    try {
      const collected = await this.#collect(planEvaluation(this.#context(), network));
      if (collected === "dropped") return false;
      this.rounds.applied();
      const accuracy = evaluationResult(collected.sum).top1;
      await log.append({ type: "evaluate", step: state.step, network, accuracy });
      recordEvaluation(state, network, accuracy);
      this.rounds.committed();
      onEvent({ type: "evaluation", step: state.step, network, accuracy });
      return true;
    } finally {
      this.#evaluating = undefined;
    }
  }

  async #writeCheckpoint(): Promise<void> {
    const { state, ledger, writeCheckpoint, onEvent } = this.#options;
    const { step } = state;
    const path = await writeCheckpoint(state, ledger);
    // Written again with an evaluation, it is no news.
    if (this.#checkpoint?.step !== step) onEvent({ type: "checkpoint", step, path });
    this.#checkpoint = { path, step };
  }
}

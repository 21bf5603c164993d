// What is shown of a run while it is driven: a pure function of where the engine is.

import { type Phase, phaseNamed } from "../../../shared/model/phases.ts";
import { epochsOf, type Pass, type Program, placeOf } from "../../../shared/run/program.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import type { Ledger } from "../../round/ledger.ts";
import { networkScores, scoreOf } from "../../state/scores.ts";
import type { RunProgress } from "../../state/training-state.ts";
import type { StepLoss } from "../../state/update.ts";
import type { StepBytes } from "../traffic.ts";
import { type Estimate, type Pace, remaining, samplesPerSecond } from "./pace.ts";
import type { RoundDriver } from "./round-driver.ts";

export interface EngineView {
  readonly run: string;
  readonly progress: RunProgress;
  readonly ledger: Pick<Ledger, "samples">;
  readonly rounds: Pick<RoundDriver, "progress" | "workers" | "working" | "reason">;
  /** Steps after which the run ends. */
  readonly target: number;
  readonly phase: "running" | "stopping" | "done";
  readonly evaluating: Phase | undefined;
  readonly pace: Pace;
  readonly loss: Partial<StepLoss>;
  /** Of the last step; undefined before the first. */
  readonly batchScore: number | undefined;
  /** Of the last step; undefined before the first. */
  readonly bytes: StepBytes | undefined;
  readonly loopDelay: RunStatus["loopDelayMs"];
  /** What a volunteer fetches of the round's phase, where that was counted. */
  readonly downlink?: RunStatus["downlink"];
  /** Whoever runs it wants nothing computed now. */
  readonly paused?: boolean;
  /** What a sample of each phase takes, to guess the pace of those that were not measured. */
  readonly work?: ReadonlyMap<string, number>;
}

/** What a paused run waits for. */
const PAUSED = "paused by whoever runs it: nothing is leased until it goes on";

export function engineStatus(view: EngineView): RunStatus {
  const { run, progress, ledger, rounds, target, evaluating, pace, loss, batchScore, bytes, loopDelay, work } = view;
  const { config, program, dataset, step } = progress;
  // What is evaluated is what the last step left; what is trained, or about to be, is the next one.
  const shown = evaluating ? Math.max(0, step - 1) : Math.min(step, program.steps - 1);
  const { pass } = placeOf(program, shown, config.batch);
  const { collected, wanted } = rounds.progress;
  const working = rounds.working && !view.paused;
  const name = phaseName(program, pass);
  const left = remaining(pace, {
    program,
    batch: config.batch,
    testSamples: dataset.test.samples,
    step,
    target,
    evaluating: evaluating && { phase: evaluating.name, samples: wanted - collected },
    ...(work && { work }),
  });
  // While nobody works there is no pace, and no telling when the run ends.
  const etaSeconds = working || left.seconds === 0 ? left.seconds : null;
  return {
    run,
    name: config.name,
    state: stateName(view),
    phase: evaluating ? `${evaluating.title} (${name})` : name,
    step,
    steps: target,
    epoch: pass.epoch,
    collected,
    wanted,
    workers: rounds.workers,
    samples: ledger.samples,
    samplesPerSecond: working ? samplesPerSecond(pace, evaluating?.name ?? pass.phase) : 0,
    etaSeconds,
    ...(etaSeconds === null ? {} : { eta: told(program, left) }),
    reason: view.phase === "done" ? "complete" : view.paused ? PAUSED : rounds.reason,
    loss: finiteParts(loss as Record<string, number>),
    bytesPerWorker: bytes?.perWorker ?? null,
    ...(view.downlink && { downlink: view.downlink }),
    loopDelayMs: loopDelay,
    batchScore:
      batchScore === undefined || !Number.isFinite(batchScore) ? null : shownScore(scoreOf(config), batchScore),
    scores: networkScores(progress),
  };
}

/** Phases of one title are one to people: a network is trained and evaluated in several. */
function told(program: Program, { evaluations, guessed }: Estimate): NonNullable<RunStatus["eta"]> {
  const titles = guessed.map((name) => phaseNamed(program, name)).filter(({ evaluate }) => !evaluate);
  return { evaluations, guessed: [...new Set(titles.map(({ title }) => title))] };
}

/** What has overflowed is no number that a message can carry. */
function finiteParts(loss: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(loss).filter(([, value]) => Number.isFinite(value)));
}

/** The phase of a pass in words; epochs are counted from 1 here, as people do. */
function phaseName(program: Program, { phase, epoch }: Pass): string {
  return `${phaseNamed(program, phase).title}, epoch ${epoch + 1}/${epochsOf(program, phase)}`;
}

function stateName({ phase, rounds, evaluating, paused }: EngineView): RunStatus["state"] {
  if (phase !== "running") return phase;
  if (rounds.workers === 0 || paused) return "waiting";
  return evaluating ? "evaluating" : "training";
}

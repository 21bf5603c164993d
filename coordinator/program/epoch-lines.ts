// The history of a run in the terminal: a line for each epoch that is over, with the best score so far.

import { phaseNamed } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { epochsOf, type Pass, type Program, placeOf } from "../../shared/run/program.ts";
import type { Score } from "../../shared/tasks/task.ts";
import { type CommitRecord, standingCommits } from "../checkpoint/commit-log.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { scoreOf } from "../state/scores.ts";
import { duration } from "./progress-text.ts";

/** A network's score on the held-out samples after so many steps. */
export interface Evaluated {
  readonly step: number;
  readonly network: string;
  readonly value: number;
}

/** What a run that goes on from a step had evaluated until then. */
export function evaluatedBefore(records: readonly CommitRecord[], step: number): readonly Evaluated[] {
  return standingCommits(records).flatMap((commit) =>
    commit.type === "evaluate" && commit.step <= step ? [commit] : [],
  );
}

export interface EpochLine {
  readonly text: string;
  /** No epoch before it got a better score. */
  readonly best: boolean;
}

interface Epoch {
  /** Of the phase, with the number of the epoch. */
  readonly title: string;
  /** Mean of its steps; unknown where none was seen. */
  readonly loss: number | undefined;
  /** In words, with its name. */
  readonly score: string | undefined;
  /** Unknown where its beginning was not seen. */
  readonly seconds: number | undefined;
}

/** `1-bit student 2/3: loss 0.524, accuracy 80.4 % (best 81.2 %), 45 s`. */
export function epochText({ title, loss, score, seconds }: Epoch): string {
  const parts = [
    ...(loss === undefined ? [] : [`loss ${loss.toPrecision(3)}`]),
    ...(score === undefined ? [] : [score]),
    ...(seconds === undefined ? [] : [duration(seconds)]),
  ];
  return `${title}: ${parts.join(", ")}`;
}

/** Next to the epochs before, of which there may be none. */
function ranked({ better, text }: Score, value: number, before: readonly number[]) {
  if (before.length === 0) return { best: true, words: "" };
  const highest = better === "higher";
  const record = highest ? Math.max(...before) : Math.min(...before);
  const best = highest ? value > record : value < record;
  return { best, words: best ? " (best so far)" : ` (best ${text(record)})` };
}

export interface EpochLinesOptions {
  readonly program: Program;
  readonly config: Pick<RunConfig, "batch" | "task">;
  /** Committed steps. */
  readonly step: number;
  /** What was evaluated before, of steps that still stand. */
  readonly evaluated: readonly Evaluated[];
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
}

export class EpochLines {
  readonly #options: EpochLinesOptions;
  /** In the order of their steps. */
  #evaluated: readonly Evaluated[];
  #pass: Pass | undefined;
  /** Losses of the pass's steps, by step. */
  readonly #losses = new Map<number, number>();
  /** When the epoch began; unknown of one that this process did not see from its first step on. */
  #since: number | undefined;

  constructor(options: EpochLinesOptions) {
    const { program, step, evaluated, now } = options;
    this.#options = options;
    this.#evaluated = evaluated;
    this.#since = program.passes.some(({ firstStep }) => firstStep === step) ? now() : undefined;
  }

  /** The line that an event is the end of an epoch for; nothing for all others. */
  take(event: RunEvent): EpochLine | undefined {
    switch (event.type) {
      case "step":
        return this.#step(event.step, event.loss.total);
      case "evaluation":
        return this.#evaluation(event);
      case "undone":
        for (const step of this.#losses.keys()) if (step > event.to) this.#losses.delete(step);
        this.#evaluated = this.#evaluated.filter(({ step }) => step <= event.to);
        return undefined;
      default:
        return undefined;
    }
  }

  #step(step: number, loss: number): EpochLine | undefined {
    const { program, config } = this.#options;
    const { pass, last } = placeOf(program, step - 1, config.batch);
    if (this.#pass?.index !== pass.index) this.#losses.clear();
    this.#pass = pass;
    this.#losses.set(step, loss);
    return last && !pass.evaluate ? { text: this.#text(pass, step, undefined), best: false } : undefined;
  }

  #evaluation({ step, network, score }: Extract<RunEvent, { type: "evaluation" }>): EpochLine | undefined {
    const { program, config } = this.#options;
    const { pass } = placeOf(program, Math.max(0, step - 1), config.batch);
    const { value } = score;
    // An evaluation that a crash cut off from its checkpoint is made again.
    const before = this.#evaluated.filter((one) => one.network === network && one.step < step).map((one) => one.value);
    this.#evaluated = [...this.#evaluated, { step, network, value }];
    // One that came from a file is no epoch's.
    if (pass.network !== network) return undefined;
    const { best, words } = ranked(scoreOf(config), value, before);
    return { text: this.#text(pass, step, `${score.name} ${score.text}${words}`), best };
  }

  #text(pass: Pass, step: number, score: string | undefined): string {
    const { program, now: clock } = this.#options;
    const { phase, epoch, firstStep, steps } = pass;
    const cutShort = step < firstStep + steps ? ` up to step ${step}` : "";
    const title = `${phaseNamed(program, phase).title} ${epoch + 1}/${epochsOf(program, phase)}${cutShort}`;
    const losses = [...this.#losses.values()].filter(Number.isFinite);
    const loss = losses.length === 0 ? undefined : losses.reduce((sum, one) => sum + one, 0) / losses.length;
    const now = clock();
    const seconds = this.#since === undefined ? undefined : (now - this.#since) / 1000;
    this.#since = now;
    return epochText({ title, loss, score, seconds });
  }
}

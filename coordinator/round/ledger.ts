// Which samples have been committed: each position of each pass exactly once. Checked at every commit and on resume.

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { emptyIntervals, type IntervalSet, intervalsFromJSON, type Range } from "../../shared/base/intervals.ts";
import type { Pass, Program, StepPlace } from "../../shared/run/program.ts";
import type { SealMode } from "./deadline.ts";

type Pair = readonly [from: number, to: number];

const ledgerSchema = z.array(
  z.strictObject({
    pass: z.number().int().min(0),
    samples: z.number().int().positive(),
    ranges: z.array(z.tuple([z.number().int().min(0), z.number().int().min(0)])),
  }),
);

export type LedgerJSON = z.output<typeof ledgerSchema>;

interface PassCover {
  readonly samples: number;
  readonly committed: IntervalSet;
}

function describe(pass: Pick<Pass, "index" | "phase" | "epoch" | "samples">): string {
  return `pass ${pass.index} (${pass.phase}, epoch ${pass.epoch}, ${pass.samples} samples)`;
}

function show(ranges: Iterable<Range>): string {
  return [...ranges].map(({ from, to }) => `[${from}, ${to})`).join(" ") || "nothing";
}

function violation(message: string): BitswarmError {
  return new BitswarmError("LEDGER_VIOLATION", message);
}

/**
 * What is wrong with a pass after so many of its steps, in words. A step commits at least half of what was carried to
 * it and its own batch, so what is left is always less than a batch: one more or one less step would show.
 */
function coverFault(
  { samples, steps: all }: Pass,
  committed: IntervalSet,
  steps: number,
  batch: number,
  seal: SealMode,
): string | undefined {
  const end = Math.min(samples, steps * batch);
  const reach = committed.ranges.at(-1)?.to ?? 0;
  if (reach > end) return `reaches to ${reach}; ${steps} steps of ${batch} commit positions below ${end}`;
  const missing = committed.complement(end);
  const most = seal === "complete" || steps === all ? 0 : batch - 1;
  if (missing.size <= most) return undefined;
  return `${missing.size} samples are not committed after ${steps} of its ${all} steps: ${show(missing.ranges)}; at most ${most} may be carried over`;
}

export class Ledger {
  readonly #passes = new Map<number, PassCover>();

  /** What of a pass is committed. */
  committed(pass: Pick<Pass, "index">): IntervalSet {
    return this.#passes.get(pass.index)?.committed ?? emptyIntervals;
  }

  /** Positions committed over all passes. */
  get samples(): number {
    return [...this.#passes.values()].reduce((sum, { committed }) => sum + committed.size, 0);
  }

  /** What the steps before this place left of its pass: it is collected first. */
  carried({ pass, from }: Pick<StepPlace, "pass" | "from">): readonly Range[] {
    return this.committed(pass).complement(from).ranges;
  }

  /**
   * Commits positions [from, to) of a pass; all of the ranges or, on an error, none.
   * @throws LEDGER_VIOLATION with the record there is and the one that came
   */
  commit(pass: Pass, ranges: readonly Pair[]): void {
    this.#passes.set(pass.index, { samples: pass.samples, committed: this.#with(pass, ranges) });
  }

  /**
   * Commits what a step collected: of what was carried to it and its own samples, so much that what it leaves is less
   * than a batch, and nothing at the pass's end; with the seal `complete`, nothing ever. All of the ranges or none.
   * @throws LEDGER_VIOLATION with the record there is and the one that came
   */
  commitStep({ pass, from }: StepPlace, ranges: readonly Pair[], batch: number, seal: SealMode): void {
    const committed = this.#with(pass, ranges);
    const wrong = coverFault(pass, committed, from / batch + 1, batch, seal);
    if (wrong !== undefined) {
      const came = show(ranges.map(([start, end]) => ({ from: start, to: end })));
      throw violation(
        `${describe(pass)}: ${wrong}; committed before: ${show(this.committed(pass).ranges)}; this step: ${came}`,
      );
    }
    this.#passes.set(pass.index, { samples: pass.samples, committed });
  }

  #with(pass: Pass, ranges: readonly Pair[]): IntervalSet {
    let committed = this.committed(pass);
    for (const [from, to] of ranges) {
      if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to <= from || to > pass.samples) {
        throw violation(
          `${describe(pass)}: range [${from}, ${to}) is empty or outside [0, ${pass.samples}); committed: ${show(committed.ranges)}`,
        );
      }
      const taken = committed.overlap({ from, to });
      if (taken.length > 0) {
        const holders = committed.ranges.filter((range) => range.from < to && range.to > from);
        throw violation(
          `${describe(pass)}: range [${from}, ${to}) would commit ${show(taken)} twice; committed before: ${show(holders)}`,
        );
      }
      committed = committed.add({ from, to });
    }
    return committed;
  }

  /** @throws LEDGER_VIOLATION naming what is missing unless exactly [0, samples) is committed */
  finishPass(pass: Pass): void {
    const missing = this.committed(pass).complement(pass.samples);
    if (missing.size > 0) {
      throw violation(`${describe(pass)} ends with ${missing.size} samples uncommitted: ${show(missing.ranges)}`);
    }
  }

  /**
   * The invariant after `step` steps: passes that ended are whole, later ones empty, and the current one holds a batch
   * a step, less what was carried over.
   * @throws LEDGER_VIOLATION
   */
  check(program: Pick<Program, "passes">, step: number, batch: number, seal: SealMode): void {
    for (const pass of program.passes) {
      const steps = Math.min(pass.steps, Math.max(0, step - pass.firstStep));
      const committed = this.committed(pass);
      const wrong = coverFault(pass, committed, steps, batch, seal);
      if (wrong !== undefined) {
        throw violation(`${describe(pass)}: ${wrong}; committed after step ${step}: ${show(committed.ranges)}`);
      }
    }
    const known = new Set(program.passes.map((pass) => pass.index));
    const stranger = [...this.#passes.keys()].find((index) => !known.has(index));
    if (stranger !== undefined) {
      throw violation(`pass ${stranger} is committed; the program has ${known.size} passes`);
    }
  }

  /**
   * Compares with the steps that the commit log tells of.
   * @param before what was committed before the first of them; nothing unless given
   * @throws LEDGER_VIOLATION with both records
   */
  requireSteps(
    program: Pick<Program, "passes">,
    steps: readonly { readonly pass: number; readonly ranges: readonly Pair[] }[],
    before: LedgerJSON = [],
  ): void {
    const told = Ledger.fromJSON(before);
    for (const { pass: index, ranges } of steps) {
      const pass = program.passes[index];
      if (!pass)
        throw violation(`the commit log tells of pass ${index}; the program has ${program.passes.length} passes`);
      told.commit(pass, ranges);
    }
    for (const pass of program.passes) {
      const [here, there] = [show(this.committed(pass).ranges), show(told.committed(pass).ranges)];
      if (here === there) continue;
      throw violation(`${describe(pass)}: the checkpoint holds ${here} as committed; the commit log, ${there}`);
    }
  }

  /** Becomes what another one tells. */
  become(other: Ledger): void {
    const passes = [...other.#passes];
    this.#passes.clear();
    for (const [pass, cover] of passes) this.#passes.set(pass, cover);
  }

  toJSON(): LedgerJSON {
    return [...this.#passes].map(([pass, { samples, committed }]) => ({
      pass,
      samples,
      ranges: committed.toJSON().map(([from, to]) => [from, to]),
    }));
  }

  /** @throws LEDGER_VIOLATION where it is not what toJSON() gives, or breaks the rule */
  static fromJSON(json: unknown): Ledger {
    const parsed = ledgerSchema.safeParse(json);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw violation(`ledger: ${issue.path.join(".") || "its top"}: ${issue.message}`);
    }
    const ledger = new Ledger();
    for (const { pass, samples, ranges } of parsed.data) {
      const committed = intervalsFromJSON(ranges);
      const end = committed.ranges.at(-1)?.to ?? 0;
      if (end > samples || ledger.#passes.has(pass)) {
        throw violation(
          `ledger: pass ${pass} of ${samples} samples is there twice or reaches to ${end}: ${show(committed.ranges)}`,
        );
      }
      ledger.#passes.set(pass, { samples, committed });
    }
    return ledger;
  }
}

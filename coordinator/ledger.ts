// Which samples have been committed: each position of each pass exactly once. Checked at every commit and on resume.

import { z } from "zod";
import { BitswarmError } from "../shared/errors.ts";
import { emptyIntervals, type IntervalSet, intervalsFromJSON } from "../shared/intervals.ts";
import type { Pass, Program } from "../shared/program.ts";

type Range = readonly [from: number, to: number];

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

function describe(pass: Pick<Pass, "index" | "kind" | "epoch" | "samples">): string {
  return `pass ${pass.index} (${pass.kind}, epoch ${pass.epoch}, ${pass.samples} samples)`;
}

function show(ranges: Iterable<{ readonly from: number; readonly to: number }>): string {
  return [...ranges].map(({ from, to }) => `[${from}, ${to})`).join(" ") || "nothing";
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

  /**
   * Commits positions [from, to) of a pass; all of the ranges or, on an error, none.
   * @throws LEDGER_VIOLATION with the record there is and the one that came
   */
  commit(pass: Pass, ranges: readonly Range[]): void {
    let committed = this.committed(pass);
    for (const [from, to] of ranges) {
      if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to <= from || to > pass.samples) {
        throw new BitswarmError(
          "LEDGER_VIOLATION",
          `${describe(pass)}: range [${from}, ${to}) is empty or outside [0, ${pass.samples}); committed: ${show(committed.ranges)}`,
        );
      }
      const taken = committed.overlap({ from, to });
      if (taken.length > 0) {
        const holders = committed.ranges.filter((range) => range.from < to && range.to > from);
        throw new BitswarmError(
          "LEDGER_VIOLATION",
          `${describe(pass)}: range [${from}, ${to}) would commit ${show(taken)} twice; committed before: ${show(holders)}`,
        );
      }
      committed = committed.add({ from, to });
    }
    this.#passes.set(pass.index, { samples: pass.samples, committed });
  }

  /** @throws LEDGER_VIOLATION naming what is missing unless exactly [0, samples) is committed */
  finishPass(pass: Pass): void {
    const missing = this.committed(pass).complement(pass.samples);
    if (missing.size > 0) {
      throw new BitswarmError(
        "LEDGER_VIOLATION",
        `${describe(pass)} ends with ${missing.size} samples uncommitted: ${show(missing.ranges)}`,
      );
    }
  }

  /**
   * The invariant after `step` steps: passes that ended are whole, later ones empty, and the current one holds a batch a step.
   * @throws LEDGER_VIOLATION
   */
  check(program: Program, step: number, batch: number): void {
    for (const pass of program.passes) {
      const { size } = this.committed(pass);
      const steps = Math.min(pass.steps, Math.max(0, step - pass.firstStep));
      const expected = Math.min(pass.samples, steps * batch);
      if (size !== expected) {
        throw new BitswarmError(
          "LEDGER_VIOLATION",
          `${describe(pass)} has ${size} samples committed after step ${step}; ${steps} steps of ${batch} commit ${expected}`,
        );
      }
      if (steps === pass.steps) this.finishPass(pass);
    }
    const known = new Set(program.passes.map((pass) => pass.index));
    const stranger = [...this.#passes.keys()].find((index) => !known.has(index));
    if (stranger !== undefined) {
      throw new BitswarmError(
        "LEDGER_VIOLATION",
        `pass ${stranger} is committed; the program has ${known.size} passes`,
      );
    }
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
      throw new BitswarmError("LEDGER_VIOLATION", `ledger: ${issue.path.join(".") || "its top"}: ${issue.message}`);
    }
    const ledger = new Ledger();
    for (const { pass, samples, ranges } of parsed.data) {
      const committed = intervalsFromJSON(ranges);
      const end = committed.ranges.at(-1)?.to ?? 0;
      if (end > samples || ledger.#passes.has(pass)) {
        throw new BitswarmError(
          "LEDGER_VIOLATION",
          `ledger: pass ${pass} of ${samples} samples is there twice or reaches to ${end}: ${show(committed.ranges)}`,
        );
      }
      ledger.#passes.set(pass, { samples, committed });
    }
    return ledger;
  }
}

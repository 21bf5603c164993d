// A comparison from its plan to its reports: its runs one after the other at one link. What is done is never run again,
// what a kill left is gone on with, and the reports are written anew after each.

import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { createDashboardToken, createOperatorToken, createToken } from "../base/token.ts";
import { type CellResult, readCellResult, writeCellResult } from "../compare/cell-result.ts";
import { type Cell, type Grid, gridOf, runnable, TEACHER_CELL } from "../compare/cells.ts";
import { type Comparison, comparisonOf, type SharedTeacher } from "../compare/comparison.ts";
import { type CompareFolder, cellFolder, openCompareFolder, settlePlan, teacherPath } from "../compare/folder.ts";
import type { Plan } from "../compare/plan.ts";
import { type PlannedWork, plannedWork } from "../compare/planned.ts";
import { writeReports } from "../compare/reports.ts";
import {
  findTeacher,
  keepTeacher,
  requireTeaching,
  takenFromTeacher,
  trainsAsTeacher,
} from "../compare/shared-teacher.ts";
import { makeFolders } from "../disk/durable-file.ts";
import { isRunDirectory, keepTokens, keptDashboardToken, keptToken } from "../run/run-directory.ts";
import { CellRunner, type CellRunnerOptions, type PlannedCell } from "./cell-runner.ts";
import { cellLine, type PlaceInPlan, planHeading, planSecondsLeft, shareDone } from "./compare-text.ts";

export interface CompareOptions extends Omit<CellRunnerOptions, "tokens" | "workersLogPath"> {
  readonly plan: Plan;
  /** Its folder. */
  readonly out: string;
  /** Sets runs aside that another configuration began. */
  readonly force: boolean;
  readonly token?: string;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  /** Told of each cell that is done. */
  readonly onCell: (result: CellResult, place: PlaceInPlan) => void;
}

export interface Compared {
  readonly path: string;
  readonly comparison: Comparison;
  /** Every cell is done; else it was stopped. */
  readonly complete: boolean;
}

const WORKERS_LOG = "workers.log";

export interface Comparing {
  /** Finishes the step in hand, writes a checkpoint, and lets `done` resolve. */
  stop(): void;
  readonly done: Promise<Compared>;
}

/**
 * Begins a comparison, or goes on with the one in its folder. `done` rejects with what a run throws, but that it
 * diverged, which is an outcome.
 * @throws CONFIG_INVALID, DATA_MISSING, DATA_INVALID, RUN_IN_USE, RUN_EXISTS, STORAGE_FAILED
 */
export async function compare(options: CompareOptions): Promise<Comparing> {
  const grid = await gridOf(options.plan);
  if (grid.teacher) requireTeaching(grid.teacher);
  const work = await plannedWork(grid);
  const folder = await openCompareFolder(options.out);
  const { path, claim } = folder;
  try {
    for (const name of await settlePlan(path, grid, options.force)) options.tell(`${name} is set aside, and made anew`);
    const tokens = {
      token: options.token ?? (await keptToken(path)) ?? createToken(),
      operatorToken: createOperatorToken(),
      dashboardToken: (await keptDashboardToken(path)) ?? createDashboardToken(),
    };
    await keepTokens({ path, ...tokens });
    const runner = new CellRunner({ ...options, tokens, workersLogPath: join(path, WORKERS_LOG) });
    return { stop: () => runner.stop(), done: new PlanRuns(options, grid, work, folder, runner).all() };
  } catch (error) {
    await claim.release();
    throw error;
  }
}

/** The runs of a plan in their order. */
class PlanRuns {
  readonly #options: CompareOptions;
  readonly #grid: Grid;
  readonly #work: PlannedWork;
  readonly #folder: CompareFolder;
  readonly #runner: CellRunner;
  /** By cell, of those that are done. */
  readonly #results = new Map<string, CellResult>();
  #teacher: SharedTeacher | undefined;

  constructor(options: CompareOptions, grid: Grid, work: PlannedWork, folder: CompareFolder, runner: CellRunner) {
    this.#options = options;
    this.#grid = grid;
    this.#work = work;
    this.#folder = folder;
    this.#runner = runner;
  }

  async all(): Promise<Compared> {
    const { path, claim } = this.#folder;
    try {
      await this.#readDone();
      await this.#report();
      const { teacher } = this.#grid;
      if (teacher && !this.#complete) await this.#teach(teacher);
      await this.#runCells();
      return { path, comparison: this.#comparison(), complete: this.#complete };
    } finally {
      await this.#runner.close();
      await claim.release();
    }
  }

  get #complete(): boolean {
    return this.#results.size === this.#grid.cells.length;
  }

  async #readDone(): Promise<void> {
    const { path } = this.#folder;
    for (const { name } of this.#grid.cells) {
      const result = await readCellResult(cellFolder(path, name));
      if (result) this.#results.set(name, result);
    }
    if (this.#grid.teacher) this.#teacher = await findTeacher(path, this.#grid.teacher);
  }

  async #runCells(): Promise<void> {
    const { path } = this.#folder;
    const { cells } = this.#grid;
    const missing = () => cells.filter(({ name }) => !this.#results.has(name));
    // First, so that the last run knows that it is: what joined it is then let go.
    for (const cell of missing()) {
      const result = await this.#taken(cell);
      if (result) await this.#done(result);
    }
    for (const cell of missing()) {
      if (this.#runner.stopping || (cell.taught && !this.#teacher)) return;
      const file = this.#teacher && teacherPath(path, this.#teacher.sha256);
      const { name, method, seed, rate } = cell;
      const last = this.#results.size === cells.length - 1;
      const result = await this.#run({ cell: name, method, seed, rate, config: runnable(cell, file), last });
      if (!result) return;
      await this.#done(result);
    }
  }

  async #done(result: CellResult): Promise<void> {
    this.#results.set(result.cell, result);
    this.#options.onCell(result, this.#place(result.cell));
    await this.#report();
  }

  /** Trains the shared teacher where it is not there, and keeps its file. */
  async #teach(config: RunConfig): Promise<void> {
    if (this.#teacher) return;
    const { path } = this.#folder;
    const network = requireTeaching(config);
    const { seed, method, optimizer } = config;
    const rate = optimizer.learningRate;
    const cell = { cell: TEACHER_CELL, method: method.kind, seed, rate, config, network, last: false };
    const result = await this.#run(cell, () => keepTeacher(path, config));
    if (!result) return;
    if (result.outcome === "diverged") {
      throw new BitswarmError(
        "GRADIENT_NOT_FINITE",
        `the shared teacher diverged, so its methods have none: give teacher another rate in the plan, and start with --force. ${result.message}`,
      );
    }
    this.#options.tell(cellLine(result, this.#place(TEACHER_CELL)));
    this.#teacher = await findTeacher(path, config);
    await this.#report();
  }

  /** The teacher's result, where a cell's run would be the teacher's over again and has not begun. */
  async #taken(cell: Cell): Promise<CellResult | undefined> {
    const { teacher } = this.#grid;
    const { path } = this.#folder;
    const folder = cellFolder(path, cell.name);
    if (!teacher || !this.#teacher || !trainsAsTeacher(cell, teacher) || (await isRunDirectory(folder)))
      return undefined;
    const result = await takenFromTeacher(path, cell);
    if (!result) return undefined;
    await makeFolders(folder);
    return await writeCellResult(folder, result);
  }

  /** @param exported keeps what others take from it @returns nothing where it was stopped */
  async #run(
    cell: Omit<PlannedCell, "folder" | "heading">,
    exported?: () => Promise<string>,
  ): Promise<CellResult | undefined> {
    const folder = cellFolder(this.#folder.path, cell.cell);
    const place = this.#place(cell.cell);
    const since = this.#options.now();
    const result = await this.#runner.run({
      ...cell,
      folder,
      heading: (status) => {
        const seconds = (this.#options.now() - since) / 1000;
        return planHeading(place, this.#secondsLeft(cell.cell, shareDone(status), seconds));
      },
    });
    if (!result) return undefined;
    const kept = exported && result.outcome === "finished" ? { exported: await exported() } : {};
    return await writeCellResult(folder, { ...result, ...kept });
  }

  #place(name: string): PlaceInPlan {
    const { cells, teacher } = this.#grid;
    const before = teacher ? 1 : 0;
    const index = name === TEACHER_CELL ? 1 : cells.findIndex((cell) => cell.name === name) + 1 + before;
    return { name, index, of: cells.length + before };
  }

  /** @param share of the run in hand that is done, in so many seconds */
  #secondsLeft(current: string, share: number, seconds: number): number | undefined {
    const pairsOf = (name: string) => this.#work.pairs.get(name) ?? 0;
    const names = this.#grid.cells.map(({ name }) => name);
    const done = names.filter((name) => this.#results.has(name));
    const inHand = share * pairsOf(current);
    const pairsDone = done.reduce((sum, name) => sum + pairsOf(name), inHand);
    const secondsDone = done.reduce((sum, name) => sum + (this.#results.get(name)?.seconds ?? 0), seconds);
    const all = names.reduce((sum, name) => sum + pairsOf(name), current === TEACHER_CELL ? pairsOf(current) : 0);
    return planSecondsLeft({ seconds: secondsDone, pairs: pairsDone }, Math.max(0, all - pairsDone));
  }

  #comparison(): Comparison {
    const results = this.#grid.cells.flatMap(({ name }) => this.#results.get(name) ?? []);
    return comparisonOf(this.#grid, results, this.#teacher ?? null, this.#work.fullPrecision);
  }

  #report(): Promise<void> {
    return writeReports(this.#folder.path, this.#comparison());
  }
}

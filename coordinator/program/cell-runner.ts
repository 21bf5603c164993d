// One run of a plan from its folder to what came of it: fresh, or gone on with from where a kill left it.

import { rm } from "node:fs/promises";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { CellResult } from "../compare/cell-result.ts";
import { chargeOf, chargeOfNetwork } from "../compare/charge.ts";
import { requireAsPlanned } from "../compare/folder.ts";
import { type Ending, type Measured, outcomeOf } from "../compare/outcome.ts";
import { Stall } from "../compare/stall.ts";
import { type OpenRun, openFreshRun, reopenRun } from "../run/open-run.ts";
import { type AllTokens, isRunDirectory, keepTokens } from "../run/run-directory.ts";
import type { Reach } from "../server/reach.ts";
import type { RunServer } from "../server/server.ts";
import { type Coordination, coordinate, isOver } from "./coordinate.ts";
import { type LocalWorkers, type Runtime, startLocalWorkers } from "./local-workers.ts";
import type { ProgressStream } from "./paint.ts";
import type { DoorTls } from "./serve-door.ts";

/** A run of a plan: a cell, or the teacher's. */
export interface PlannedCell extends Pick<CellResult, "cell" | "method" | "seed" | "rate"> {
  readonly config: RunConfig;
  readonly folder: string;
  /** The network that it is run for, after whose last pass it ends; the primary one unless given. */
  readonly network?: string;
  /** No other run comes after it. */
  readonly last: boolean;
  readonly heading: (status: RunStatus) => string;
}

export interface CellRunnerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: DoorTls;
  readonly workers: number;
  readonly runtime: Runtime;
  readonly reach: Reach;
  /** Of all runs: the link stays. */
  readonly tokens: AllTokens;
  readonly workersLogPath: string;
  readonly terminal: ProgressStream;
  readonly tell: (line: string) => void;
  /** Told once, when the first run is there to be joined. */
  readonly onLink: (server: RunServer, tokens: AllTokens) => void;
}

/** A folder without a checkpoint holds nothing that was trained: it begins anew. */
async function openCell(
  { folder, config }: PlannedCell,
  token: string,
  tell: (line: string) => void,
): Promise<OpenRun> {
  if (await isRunDirectory(folder)) {
    try {
      const run = await reopenRun(folder, { token, onNotice: tell });
      try {
        requireAsPlanned(folder, run.state.config, config);
        return run;
      } catch (error) {
        await run.log.close();
        await run.claim.release();
        throw error;
      }
    } catch (error) {
      if (!(error instanceof BitswarmError) || error.code !== "CHECKPOINT_MISSING") throw error;
    }
  }
  await rm(folder, { recursive: true, force: true });
  return await openFreshRun(config, folder, token, tell);
}

/** Steps until the last pass of a network is over; nothing where that is the end. */
function stepsFor({ program }: OpenRun["state"], network: string): number | undefined {
  const ends = program.passes.filter((pass) => pass.network === network).map((pass) => pass.firstStep + pass.steps);
  const end = Math.max(...ends);
  return end < program.steps ? end : undefined;
}

/** Runs the runs of a plan; what joins one comes back to the next. */
export class CellRunner {
  readonly #options: CellRunnerOptions;
  #port: number;
  /** Of this machine's own workers, with TLS at the other. */
  #localPort = 0;
  #linked = false;
  #stopping = false;
  #current: Coordination | undefined;
  #workers: LocalWorkers | undefined;

  constructor(options: CellRunnerOptions) {
    this.#options = options;
    this.#port = options.port;
  }

  get stopping(): boolean {
    return this.#stopping;
  }

  /** Finishes the step in hand, writes a checkpoint, and lets run() end. */
  stop(): void {
    this.#stopping = true;
    this.#current?.stop();
  }

  async close(): Promise<void> {
    await this.#workers?.stop();
  }

  /** @returns what came of it; nothing where it was stopped @throws what a run throws, but that it diverged */
  async run(cell: PlannedCell): Promise<Omit<CellResult, "format"> | undefined> {
    const { tokens, tell } = this.#options;
    const opened = await openCell(cell, tokens.token, tell);
    // The operator's link stays too: its workers come back by it.
    const run: OpenRun = { ...opened, directory: { ...opened.directory, ...tokens } };
    await keepTokens(run.directory);
    const { program, config, dataset, networks } = run.state;
    const network = cell.network ?? program.primary;
    const planned = { program, config, dataset, networks };
    const charge = (steps?: number) =>
      cell.network === undefined ? chargeOf(planned, steps) : chargeOfNetwork(planned, network, steps);
    const ended = { eventsPath: run.directory.eventsPath, program, batch: config.batch, charge, network };
    const measured = { down: 0, up: 0, steps: 0 };
    const ending = await this.#drive(run, cell, stepsFor(run.state, network), measured);
    return ending && (await outcomeOf(cell, ended, ending, measured));
  }

  async #drive(
    run: OpenRun,
    { last, heading }: PlannedCell,
    maxSteps: number | undefined,
    measured: { -readonly [K in keyof Measured]: Measured[K] },
  ): Promise<Ending | undefined> {
    const { host, tls, reach, terminal, runtime, tokens, onLink } = this.#options;
    const idle = isOver(run.state);
    const elsewhere = run.data.elsewhere;
    const stall = new Stall();
    /** What was refused last of a run whose numbers are lost. */
    let lost: string | undefined;
    let committed = run.state.step;
    const coordination = await coordinate(run, {
      host,
      port: this.#port,
      localPort: this.#localPort,
      ...(tls === undefined ? {} : { tls }),
      // Its workers are the plan's, below.
      workers: 0,
      runtime,
      reach,
      terminal,
      among: { heading, last },
      ...(maxSteps === undefined ? {} : { maxSteps }),
      onEvent: (event) => {
        const stalled = stall.take(event);
        if (stalled !== undefined && lost === undefined) {
          lost = stalled;
          this.#current?.stop();
        }
        if (event.type === "undone") committed = event.to;
        if (event.type !== "step") return;
        committed = event.step;
        const { down, up } = event.bytes.perWorker;
        measured.down += down;
        measured.up += up;
        measured.steps++;
      },
    });
    this.#current = coordination;
    if (this.#stopping) coordination.stop();
    this.#port = coordination.server.port;
    this.#localPort = coordination.server.localPort;
    if (!this.#linked) onLink(coordination.server, tokens);
    this.#linked = true;
    try {
      if (!idle) this.#startWorkers(coordination.server.localUrl, elsewhere && new URL(elsewhere.origin).host);
      const summary = await coordination.done;
      if (summary.finished) return { outcome: "finished", summary };
      return lost === undefined || this.#stopping
        ? undefined
        : { outcome: "diverged", message: lost, steps: summary.step };
    } catch (error) {
      if (!(error instanceof BitswarmError) || error.code !== "GRADIENT_NOT_FINITE") throw error;
      return { outcome: "diverged", message: error.message, steps: committed };
    } finally {
      this.#current = undefined;
    }
  }

  /** The plan's own, once; those that ended are replaced at the next run. */
  #startWorkers(url: string, dataHost: string | undefined): void {
    const { workers: count, runtime, workersLogPath: logPath, tell } = this.#options;
    if (count === 0 || this.#workers) return;
    this.#workers = startLocalWorkers({
      url,
      count,
      runtime,
      ...(dataHost === undefined ? {} : { dataHosts: [dataHost] }),
      logPath,
      onEarlyEnd: (message) => {
        this.#workers = undefined;
        tell(message);
      },
    });
  }
}

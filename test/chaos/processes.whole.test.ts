// Chaos on the real thing: the built coordinator and crews of workers as processes, killed, stopped, cut off and
// resumed at random moments. Whatever happened, each sample is committed once and the parameters are those of a run
// that nothing happened to.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCommitLog, standingCommits } from "../../coordinator/checkpoint/commit-log.ts";
import { intervalSet } from "../../shared/base/intervals.ts";
import { type Rng, rng } from "../../shared/base/rng.ts";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { type CuttingProxy, cuttingProxy } from "../fixtures/cutting-proxy.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { tinyFlags } from "../fixtures/test-run.ts";
import { calmHashes, hashes } from "./calm-run.ts";
import { CrewProcess } from "./crew-process.ts";

const TIMEOUT_MS = 300_000;
/** The samples of each pass of the tiny run. */
const passes = [256, 256, 256, 256, 256, 256];
const COMPUTE_MS = 40;
/** After so many the run is left in peace. */
const MISHAPS = 14;
/** Short enough that a stopped worker's lease comes back within the test. */
const hasty = ["--set", "lease.timeoutMs=1500", "--set", "heartbeatMs=500"];

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A run under one seed's mishaps, to its end. */
class Storm {
  readonly seen: Record<number, unknown> = {};
  readonly log: string[] = [];
  readonly #draws: Rng;
  readonly #crews: CrewProcess[] = [];
  readonly #port: string;
  readonly #proxy: CuttingProxy;
  #coordinator: CoordinatorProcess;
  readonly runDir: string;

  private constructor(
    seed: number,
    coordinator: CoordinatorProcess,
    port: string,
    proxy: CuttingProxy,
    runDir: string,
  ) {
    this.#draws = rng(seed, "storm");
    this.#coordinator = coordinator;
    this.#port = port;
    this.#proxy = proxy;
    this.runDir = runDir;
    for (let i = 0; i < 3; i++) this.#crews.push(this.#crew());
  }

  static async begin(seed: number): Promise<Storm> {
    const { flags, runDir } = await tinyFlags();
    const start = ["start", ...flags, ...hasty, "--run-dir", runDir, "--workers", "0", "--port", "0", "--json"];
    const coordinator = new CoordinatorProcess(start);
    const url = await coordinator.url();
    // A run that ends before its first checkpoint starts anew, and is no storm.
    await expect.poll(() => existsSync(join(runDir, "checkpoints", "step-0"))).toBe(true);
    return new Storm(seed, coordinator, new URL(url).port, await cuttingProxy(url), runDir);
  }

  /** Something bad, until the run is over. Returns the end's code. */
  async blow(): Promise<number | null> {
    for (;;) {
      const pause = 80 + this.#draws.below(250);
      const over = await Promise.race([this.#coordinator.exited, sleep(pause)]);
      if (over) {
        Object.assign(this.seen, hashes(this.#coordinator));
        if (over.code !== 0) this.log.push(over.stderr);
        return over.code;
      }
      if (this.log.length < MISHAPS) await this.#mishap();
    }
  }

  #crew(): CrewProcess {
    return new CrewProcess(this.#proxy.url, 1 + this.#draws.below(2), COMPUTE_MS);
  }

  async #mishap(): Promise<void> {
    const victim = this.#draws.below(this.#crews.length);
    switch (this.#draws.below(5)) {
      case 0: {
        this.log.push(`kill -9 crew ${victim}`);
        this.#crews[victim].child.kill("SIGKILL");
        this.#crews[victim] = this.#crew();
        return;
      }
      case 1: {
        const ms = 200 + this.#draws.below(2500);
        this.log.push(`stop crew ${victim} for ${ms} ms`);
        const { child } = this.#crews[victim];
        child.kill("SIGSTOP");
        setTimeout(() => child.kill("SIGCONT"), ms);
        return;
      }
      case 2: {
        const ms = 200 + this.#draws.below(800);
        this.log.push(`stop the coordinator for ${ms} ms`);
        this.#coordinator.child.kill("SIGSTOP");
        await sleep(ms);
        this.#coordinator.child.kill("SIGCONT");
        return;
      }
      case 3:
        this.log.push("cut every socket");
        this.#proxy.cutAll();
        return;
      default:
        await this.#restart();
    }
  }

  /** kill -9 of the coordinator, and a resume at the same address. */
  async #restart(): Promise<void> {
    this.log.push("kill -9 the coordinator");
    this.#coordinator.child.kill("SIGKILL");
    await this.#coordinator.exited;
    Object.assign(this.seen, hashes(this.#coordinator));
    const flags = ["--workers", "0", "--port", this.#port, "--json"];
    this.#coordinator = new CoordinatorProcess(["resume", this.runDir, ...flags]);
    await Promise.race([this.#coordinator.url(), this.#coordinator.exited]);
  }
}

test.each(inRotation([1, 2, 3], 0, 3))(
  "seed %i: kill -9, SIGSTOP and cut sockets at random moments cost no sample and change no bit",
  async (seed) => {
    const expected = await calmHashes();
    const storm = await Storm.begin(seed);
    const code = await storm.blow();
    const story = storm.log.join("\n");
    expect(code, story).toBe(0);
    expect(storm.seen, story).toEqual(expected);
    const commits = standingCommits(await readCommitLog(storm.runDir));
    const committed = passes.map((_, pass) =>
      commits
        .flatMap((c) => (c.type === "step" && c.pass === pass ? c.ranges : []))
        .map(([from, to]) => ({ from, to })),
    );
    // An interval set refuses a range that is in it already.
    expect(committed.map((ranges) => intervalSet(ranges).toJSON())).toEqual(passes.map((samples) => [[0, samples]]));
  },
  TIMEOUT_MS,
);

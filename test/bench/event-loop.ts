// The longest turn of the coordinator's event loop while large contributions come over real sockets and steps are made
// of them: the real coordinator in this process, its workers in another, and a checkpoint after each step.

import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { coordinate } from "../../coordinator/program/coordinate.ts";
import { LoopDelayMeter } from "../../coordinator/program/loop-delay.ts";
import { openFreshRun } from "../../coordinator/run/open-run.ts";
import { elementCount } from "../../shared/model/manifest.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { writeNoiseImages } from "../fixtures/noise-images.ts";
import type { Emit } from "./line.ts";
import { rounded } from "./statistics.ts";
import { TurnClock } from "./turn-clock.ts";

const WORKERS = 2;
/** Contributions of a step. */
const PER_STEP = 4;
const IDLE_MS = 2000;

/** ResNet-18 64-128-256-512, whose images may be small: its parameters are what counts. */
const resNet18 = { kind: "resnet", widths: [64, 128, 256, 512], stem: "imagenet" };

export interface EventLoopOptions {
  readonly steps: number;
  readonly codecs: readonly string[];
  readonly model?: Record<string, unknown>;
}

export async function benchEventLoop({ steps, codecs, model = resNet18 }: EventLoopOptions, emit: Emit): Promise<void> {
  const idle = new LoopDelayMeter();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const idleMs = idle.take().max;
  idle.close();
  for (const codec of codecs) {
    const folder = await mkdtemp(join(tmpdir(), "bitswarm-event-loop-"));
    try {
      const root = join(folder, "images");
      await writeNoiseImages(root, { train: PER_STEP * steps, test: PER_STEP });
      const config = parseConfig({
        model,
        data: { kind: "idx", root, pad: 2 },
        method: { ablation: "R" },
        codec,
        batch: PER_STEP,
        microbatch: 1,
        epochs: 1,
        lease: { pieces: 1, first: 1, maxMicrobatches: 1 },
        checkpoint: { everySteps: 1, keep: 1 },
      });
      const open = await openFreshRun(config, join(folder, "run"));
      const { entries } = open.state.networks.student.manifest;
      const parameters = entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
      const own: (number | null)[] = [];
      const lines: { loopDelayMs: { max: number; p99: number }; bytes: { contributions: { up: number } } }[] = [];
      const since = performance.now();
      const run = await coordinate(open, {
        host: "127.0.0.1",
        port: 0,
        workers: 0,
        runtime: "auto",
        terminal: { write: () => true },
        checkSamples: false,
        printJson: (line) => {
          lines.push(JSON.parse(line));
          own.push(turns.take());
        },
        maxSteps: steps,
      });
      const turns = new TurnClock();
      const crew = fork(
        fileURLToPath(new URL("loop-crew.js", import.meta.url)),
        [run.server.localUrl, String(WORKERS)],
        {
          stdio: ["ignore", "ignore", "inherit", "ipc"],
        },
      );
      try {
        await run.done;
      } finally {
        crew.kill();
        turns.close();
      }
      const made = lines.slice(0, steps);
      const all = made.map(({ loopDelayMs }) => loopDelayMs.max);
      await emit({
        record: "event-loop",
        codec,
        parameters,
        steps: made.length,
        contributions: PER_STEP * made.length,
        bytes: made.reduce((sum, { bytes }) => sum + bytes.contributions.up, 0),
        seconds: rounded((performance.now() - since) / 1000),
        worstMs: Math.max(...all),
        afterFirstMs: Math.max(...all.slice(1)),
        ownMs: own.includes(null) ? null : Math.max(...own.slice(0, steps).map(Number)),
        p99Ms: Math.max(...made.map(({ loopDelayMs }) => loopDelayMs.p99)),
        idleMs,
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

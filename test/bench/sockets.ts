// `bench sockets`: the real coordinator with many real sockets on loopback and a small model: steps a second, memory
// and the event loop.

import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { coordinate } from "../../coordinator/program/coordinate.ts";
import { openFreshRun } from "../../coordinator/run/open-run.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { writeNoiseImages } from "../fixtures/noise-images.ts";
import { TurnClock } from "./turn-clock.ts";

export interface SocketsLine {
  readonly record: "sockets";
  readonly sockets: number;
  readonly steps: number;
  readonly seconds: number;
  readonly stepsPerSecond: number;
  readonly microbatchesPerSecond: number;
  /** Of the coordinator's process, with nobody and with everybody. */
  readonly rssBytes: { readonly before: number; readonly after: number };
  readonly rssBytesPerSocket: number;
  readonly eventLoopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /**
   * What the loop itself computed in its longest turn, without the wait for a core; null where the system does not
   * tell.
   */
  readonly longestTurnMs: number | null;
  /** Share of one core that the coordinator used. */
  readonly cpuShare: number;
  readonly rttMs: { readonly median: number; readonly max: number };
}

export interface SocketsOptions {
  readonly sockets: number;
  readonly seconds: number;
}

const CREWS = 2;
/** For all to join; the whole run stays below a minute. */
const JOIN_MS = 30_000;
const POLL_MS = 100;
const nsPerMs = 1e6;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const rounded = (value: number) => Math.round(value * 100) / 100;

/** A small LeNet, and about one microbatch a worker in each step. */
function configFor(sockets: number, root: string) {
  const microbatch = 4;
  return parseConfig({
    model: { kind: "lenet", widths: [2, 2, 4] },
    data: { kind: "idx", root },
    microbatch,
    batch: sockets * microbatch,
    teacher: { epochs: 200 },
    maxWorkers: sockets,
    heartbeatMs: 2000,
    checkpoint: { everySteps: 10_000 },
  });
}

export async function benchSockets({ sockets, seconds }: SocketsOptions): Promise<SocketsLine> {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-sockets-"));
  const crewPath = fileURLToPath(new URL("socket-crew.js", import.meta.url));
  try {
    const root = join(folder, "images");
    await writeNoiseImages(root, { train: 16 * sockets, test: 64 });
    let steps = 0;
    const run = await coordinate(await openFreshRun(configFor(sockets, root), join(folder, "run")), {
      host: "127.0.0.1",
      port: 0,
      workers: 0,
      runtime: "auto",
      terminal: { write: () => true },
      checkSamples: false,
      printJson: () => steps++,
    });
    const before = process.memoryUsage().rss;
    const crews = Array.from({ length: CREWS }, (_, i) => {
      const count = Math.floor((sockets + i) / CREWS);
      return fork(crewPath, [run.server.localUrl, String(count)], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    });
    try {
      const deadline = performance.now() + JOIN_MS;
      while (run.sessions.vitals.length < sockets) {
        if (performance.now() > deadline) throw new Error(`only ${run.sessions.vitals.length} sockets joined in time`);
        await pause(POLL_MS);
      }
      const delay = monitorEventLoopDelay({ resolution: 1 });
      const turns = new TurnClock();
      delay.enable();
      const [since, first, cpu] = [performance.now(), steps, process.cpuUsage()];
      await pause(seconds * 1000);
      delay.disable();
      const longestTurnMs = turns.take();
      turns.close();
      const elapsed = (performance.now() - since) / 1000;
      const used = process.cpuUsage(cpu);
      const after = process.memoryUsage().rss;
      const rtts = run.sessions.vitals.flatMap(({ rttMs }) => rttMs ?? []).sort((a, b) => a - b);
      const made = steps - first;
      return {
        record: "sockets",
        sockets,
        steps: made,
        seconds: rounded(elapsed),
        stepsPerSecond: rounded(made / elapsed),
        microbatchesPerSecond: rounded((made * sockets) / elapsed),
        rssBytes: { before, after },
        rssBytesPerSocket: Math.round((after - before) / sockets),
        eventLoopDelayMs: {
          p50: rounded(delay.percentile(50) / nsPerMs),
          p99: rounded(delay.percentile(99) / nsPerMs),
          max: rounded(delay.max / nsPerMs),
        },
        longestTurnMs,
        cpuShare: rounded((used.user + used.system) / 1e6 / elapsed),
        rttMs: { median: rounded(rtts[rtts.length >> 1] ?? Number.NaN), max: rounded(rtts.at(-1) ?? Number.NaN) },
      };
    } finally {
      for (const crew of crews) crew.kill();
      run.stop();
      await run.done;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function socketsText(line: SocketsLine): string {
  const {
    sockets,
    stepsPerSecond,
    microbatchesPerSecond,
    rssBytes,
    rssBytesPerSocket,
    eventLoopDelayMs,
    longestTurnMs,
    cpuShare,
    rttMs,
  } = line;
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  return [
    `${sockets} sockets: ${stepsPerSecond} steps/s, ${microbatchesPerSecond} microbatches/s, ${line.seconds} s`,
    `  coordinator: rss ${mib(rssBytes.after)} (${mib(rssBytes.before)} with nobody), ${Math.round(rssBytesPerSocket / 1024)} KiB a socket, ${Math.round(100 * cpuShare)} % of a core`,
    `  event loop delay: p50 ${eventLoopDelayMs.p50} ms, p99 ${eventLoopDelayMs.p99} ms, max ${eventLoopDelayMs.max} ms; longest turn ${longestTurnMs ?? "?"} ms of its own; ping to pong: median ${rttMs.median} ms, max ${rttMs.max} ms`,
  ].join("\n");
}

// Rules of the Deno launcher, each with real Deno processes.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, type TestContext, test } from "vitest";
import { launchDenoWorkers } from "../../worker/platform/node/deno-workers.ts";
import type { WorkerEvent, WorkersOptions } from "../../worker/platform/node/supervise.ts";
import { isRunning, survivors } from "./fixtures/processes.ts";

async function launch(token: string, options: Partial<WorkersOptions> = {}) {
  const lines: string[] = [];
  const events: WorkerEvent[] = [];
  const workers = await launchDenoWorkers({
    url: `http://127.0.0.1:9/?token=${token}`,
    count: 1,
    restartAfterMs: 50,
    tune: false,
    main: fileURLToPath(new URL("fixtures/deno-worker.mjs", import.meta.url)),
    onLine: (line) => lines.push(line),
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { workers, lines, events };
}

/** Each has said that it is there, be it once more after a driver's crash. */
async function joined({ expect: own }: TestContext, ...launched: Awaited<ReturnType<typeof launch>>[]): Promise<void> {
  await own
    .poll(() => launched.map(({ events, lines }) => events[0]?.event ?? lines))
    .toEqual(launched.map(() => "joined"));
}

test("two processes find an adapter, report themselves, and end the launcher with the run", async () => {
  const { workers, lines, events } = await launch("ends", { count: 2, name: "attic", cacheMiB: 64, share: 0.5 });
  await workers.exited;
  expect(
    lines.filter((line) =>
      /^\[deno [12]\] adapter .+; flags --parent-watch --no-tune --keys \S+ --content \S+ --cache-mib 64 --throttle 0.5 --name attic-[12]$/.test(
        line,
      ),
    ),
    lines.join("\n"),
  ).toHaveLength(2);
  expect(lines).toHaveLength(2);
  const names = events.filter((event) => event.event === "joined").map((event) => event.worker);
  expect(names.sort()).toEqual(["attic-1", "attic-2"]);
  expect(events.filter((event) => event.event === "ended")).toHaveLength(2);
  expect(workers.pids).toEqual([]);
});

test("a worker that tunes is given a folder of the user's cache, made for it", async () => {
  const cache = mkdtempSync(path.join(tmpdir(), "bitswarm-test-"));
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = cache;
  onTestFinished(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(cache, { recursive: true });
  });
  const { workers, lines } = await launch("ends", { tune: true });
  await workers.exited;
  const folder = path.join(cache, "bitswarm", "tunings");
  expect(lines.join("\n")).toContain(`flags --parent-watch --tunings ${folder}`);
  expect(existsSync(folder)).toBe(true);
});

test.concurrent("a worker that refuses for good ends the launcher with its reason and no restart", async () => {
  const { workers, lines } = await launch("refused");
  await expect(workers.exited).rejects.toMatchObject({ code: "TOKEN_INVALID", message: "the token is not this run's" });
  expect(lines.filter((line) => line.includes("restart"))).toEqual([]);
});

test.concurrent("a worker that dies is started again three times, then given up with its last words", async () => {
  const { workers, lines } = await launch("dies");
  await expect(workers.exited).rejects.toMatchObject({
    code: "COMPUTE_FAILED",
    message:
      "deno worker 1 gave up after 3 restarts in a row, at last because its process ended with exit code 70 (out of luck)",
  });
  expect(lines.filter((line) => line.startsWith("[deno 1] adapter"))).toHaveLength(4);
  expect(lines.map((line) => /restart (.*)/.exec(line)?.[1]).filter((match) => match !== undefined)).toEqual([
    "1 in 0.05 s",
    "2 in 0.1 s",
    "3 in 0.2 s",
  ]);
});

test.concurrent("finish has each worker answer what it holds, and starts none again", async (context) => {
  const [polite, early] = await Promise.all([launch("finishes"), launch("stays")]);
  await joined(context, polite, early);
  polite.workers.finish();
  // As one does that was not yet listening: the signal ends it.
  early.workers.finish();
  const left: string[] = [];
  for (const [name, { workers }] of Object.entries({ polite, early })) workers.exited.then(() => left.push(name));
  await context.expect.poll(() => left.toSorted()).toEqual(["early", "polite"]);
  expect(polite.lines).toContain("[deno 1] answered");
  expect(polite.events.at(-1)).toEqual({ event: "ended", runtime: "deno", slot: 1 });
  expect(early.lines.filter((line) => line.includes("restart"))).toEqual([]);
});

test.concurrent("a process that hangs once its worker has ended is ended, and its work was done", async () => {
  const { workers, events } = await launch("hangs");
  await workers.exited;
  expect(events.map(({ event }) => event)).toEqual(["joined", "ended"]);
});

test.concurrent("stop ends a worker that listens at once, and one that does not after three seconds", async (context) => {
  const [polite, deaf] = await Promise.all([launch("stays"), launch("deaf")]);
  await joined(context, polite, deaf);
  const pids = [...polite.workers.pids, ...deaf.workers.pids];
  expect(pids.filter(isRunning)).toHaveLength(2);
  const startedAtMs = performance.now();
  const stopped: string[] = [];
  const stop = async (name: string, { workers }: typeof polite) => {
    await workers.stop();
    stopped.push(name);
  };
  await Promise.all([stop("deaf", deaf), stop("polite", polite)]);
  expect(stopped).toEqual(["polite", "deaf"]);
  const tookMs = performance.now() - startedAtMs;
  expect(deaf.lines).toContain("[deno 1] not listening");
  expect(tookMs).toBeGreaterThan(2900);
  expect(await survivors(pids, 0)).toEqual([]);
  await Promise.all([polite.workers.exited, deaf.workers.exited]);
});

test("launchDenoWorkers refuses a link without a token before it starts anything", async () => {
  await expect(launchDenoWorkers({ url: "http://127.0.0.1:9/", count: 1 })).rejects.toMatchObject({
    code: "TOKEN_INVALID",
  });
});

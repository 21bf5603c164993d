// Rules of the browser launcher, each with a real Chromium and a real page.
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type BrowserWorkersOptions, launchBrowserWorkers } from "../../worker/platform/node/browser-workers.ts";
import type { WorkerEvent } from "../../worker/platform/node/supervise.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import { type PageServer, servePage } from "./fixtures/page-server.ts";
import { commandLine, descendants, isRunning, survivors } from "./fixtures/processes.ts";

let server: PageServer;
beforeAll(async () => {
  server = await servePage();
});
afterAll(() => server.close());

/** Those of browsers that this process launched: other files launch some at the same time. */
const profiles = () =>
  readdirSync(tmpdir()).filter((name) => name.startsWith("bitswarm-chromium-") && name.includes(`-${process.pid}-`));

/** Launches and collects what is said until the end. */
async function launch(token: string, options: Partial<BrowserWorkersOptions> = {}) {
  const lines: string[] = [];
  const events: WorkerEvent[] = [];
  const workers = await launchBrowserWorkers({
    url: server.link(token),
    count: 1,
    restartAfterMs: 50,
    onLine: (line) => lines.push(line),
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { workers, lines, events };
}

test("two pages find an adapter, also in a worker, report themselves, and end the launcher with the run", async () => {
  const before = profiles();
  const { workers, lines, events } = await launch("ends", { count: 2, name: "attic" });
  const pids = workers.pids.flatMap((pid) => [pid, ...descendants(pid)]);
  expect(pids.length).toBeGreaterThan(2);
  await workers.exited;
  expect(
    lines.filter((line) => /adapter \S+ .*in worker true visibility visible/.test(line)),
    lines.join("\n"),
  ).toHaveLength(2);
  expect(lines).toContain("[browser 1] said in a worker");
  const joined = events.filter((event) => event.event === "joined").map((event) => event.worker);
  expect(joined.sort()).toEqual(["attic-1", "attic-2"]);
  expect(events.filter((event) => event.event === "ended")).toHaveLength(2);
  expect([...server.opened].sort()).toEqual([
    "?token=ends&autostart=1&name=attic-1",
    "?token=ends&autostart=1&name=attic-2",
  ]);
  expect(await survivors(pids, 30_000)).toEqual([]);
  expect(profiles()).toEqual(before);
});

test.concurrent("a server that forbids the page ends the launcher with TOKEN_INVALID and no restart", async () => {
  const { workers, lines } = await launch("forbidden");
  await expect(workers.exited).rejects.toMatchObject({ code: "TOKEN_INVALID" });
  expect(lines.filter((line) => line.includes("restart"))).toEqual([]);
});

test.concurrent("a page that refuses for good ends the launcher with its reason and no restart", async () => {
  const { workers, lines } = await launch("refused");
  await expect(workers.exited).rejects.toMatchObject({ code: "TOKEN_INVALID", message: "the token is not this run's" });
  expect(lines.filter((line) => line.includes("restart"))).toEqual([]);
});

test.concurrent("a GPU that gives no adapter is given up for SwiftShader, and the work goes on", async () => {
  const { workers, lines } = await launch("ends", { software: false, pageTimeoutMs: 5000 });
  await workers.exited;
  // On busy cores the page may have been opened again before it could be asked.
  if (!hasHardwareGpu())
    expect(lines.join("\n")).toMatch(/the GPU's driver gives no adapter, SwiftShader will; restart \d/);
  // Chromium asks for an icon when it likes, and says that there is none.
  const said = lines.filter((line) => !line.includes("Failed to load resource"));
  expect(said.at(-1)).toMatch(/said in a worker|adapter (?!none)/);
});

test.concurrent("a server that does not answer, and one that is no coordinator, are given up with RUN_UNREACHABLE", async () => {
  const stranger = await launch("stranger", { pageTimeoutMs: 3000 });
  const gone = await servePage();
  await gone.close();
  const silent = await launchBrowserWorkers({ url: gone.link("t"), count: 1, restartAfterMs: 50 });
  await expect(stranger.workers.exited).rejects.toMatchObject({ code: "RUN_UNREACHABLE" });
  await expect(silent.exited).rejects.toMatchObject({
    code: "RUN_UNREACHABLE",
    message: expect.stringMatching(
      /gave up after 3 restarts in a row, at last because http:\/\/127.0.0.1:\d+ cannot be opened .*ERR_CONNECTION_REFUSED/,
    ),
  });
  expect(stranger.lines.join("\n")).toContain("it shows no page of a bitswarm coordinator");
});

test("a crashed page is opened again, and so is a killed browser", async () => {
  const { workers, lines, events } = await launch("stays");
  const joins = () => events.filter((event) => event.event === "joined").length;
  await expect.poll(joins).toBeGreaterThanOrEqual(1);
  const [first] = workers.pids;
  const renderers = descendants(first!).filter((pid) => isRunning(pid) && commandLine(pid).includes("--type=renderer"));
  for (const pid of renderers) process.kill(pid, "SIGKILL");
  await expect.poll(joins).toBeGreaterThanOrEqual(2);
  expect(lines.join("\n")).toMatch(/the page crashed .*; restart 1 in 0.05 s/);
  expect(workers.pids).toEqual([first]);
  process.kill(first!, "SIGKILL");
  await expect.poll(joins).toBeGreaterThanOrEqual(3);
  expect(lines.join("\n")).toMatch(/the browser ended unexpectedly; restart 2 in 0.1 s/);
  const pids = workers.pids.flatMap((pid) => [pid, ...descendants(pid)]);
  await workers.stop();
  await workers.exited;
  expect(await survivors(pids, 30_000)).toEqual([]);
});

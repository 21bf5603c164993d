// Rules of a run that is shown from its folder.

import { appendFile, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import WebSocket from "ws";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { Dashboard } from "../../../coordinator/dashboard/dashboard.ts";
import { serveAlone } from "../../../coordinator/dashboard/lone-server.ts";
import { FolderRun } from "../../../coordinator/program/folder-run.ts";
import { tellLogged } from "../../../coordinator/program/logged-events.ts";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import { scratchFolder, startTestRun } from "../../fixtures/test-run.ts";
import { Looker } from "../dashboard/looker.ts";

test("O16 a run that goes on is shown from its folder as it comes, and so is what is left of it, without a change there", async () => {
  const started = await startTestRun({ maxSteps: 3, config: { checkpoint: { everySteps: 1000 } } });
  const { path } = started.run.directory;
  const worker = await started.connect().join();
  await worker.answer(await worker.lease());
  const run = await FolderRun.open(path);
  const shown = async () => {
    await run.refresh();
    return run.status();
  };
  await expect.poll(shown).toMatchObject({ step: 1, workers: 1 });
  expect(run.watch()).toMatchObject({ pass: { committed: [{ from: 0, to: 64 }] }, checkpointStep: 0 });
  await worker.work();
  await started.coordination.done;
  const files = async () => {
    const names = (await readdir(path, { recursive: true })).sort();
    return Promise.all(names.map(async (name) => [name, await readFile(join(path, name)).catch(() => null)]));
  };
  const before = await files();
  await run.refresh();
  expect(run.status()).toMatchObject({
    state: "waiting",
    step: 3,
    workers: 0,
    scores: { teacher: { name: "accuracy" } },
  });
  expect(run.status().reason).toContain("nobody drives");
  const kinds = (await run.events()).map(({ event }) => event.type);
  expect(kinds).toEqual(expect.arrayContaining(["checkpoint", "joined", "evaluation"]));
  expect(await run.events()).toEqual([]);
  expect(await files()).toEqual(before);
});

test("O16 a log's lines that are damaged, or of another build, are passed over", async () => {
  const started = await startTestRun({ maxSteps: 1 });
  const { path, eventsPath } = started.run.directory;
  await (await started.connect().join()).work();
  await started.coordination.done;
  const run = await FolderRun.open(path);
  await run.events();
  const time = new Date(0).toISOString();
  const lines = ["{", '{"time":"never","type":"notice"}', `{"time":"${time}","type":"joined"}`];
  await appendFile(eventsPath, `${lines.join("\n")}\n${JSON.stringify({ time, type: "notice", message: "hi" })}\n{"ti`);
  const told: string[] = [];
  const feed = new Dashboard({
    tokens: { dashboardToken: "d", operatorToken: "o" },
    page: new Map(),
    source: { status: () => run.status(), watch: () => run.watch(), vitals: () => [] },
    path,
    clock: systemClock,
  });
  tellLogged(await run.events(), (event, at) => {
    feed.event(event, at);
    told.push(event.type);
  });
  expect(told).toEqual(["notice"]);
});

test("O16 a dashboard alone takes its own token only, no page of another address, and no command", async () => {
  const started = await startTestRun({ maxSteps: 1 });
  await (await started.connect().join()).work();
  await started.coordination.done;
  const run = await FolderRun.open(started.run.directory.path);
  const dashboard = new Dashboard({
    tokens: { dashboardToken: "dashboard-look", operatorToken: "nobody" },
    page: new Map(),
    source: { status: () => run.status(), watch: () => run.watch(), vitals: () => [] },
    path: run.path,
    clock: systemClock,
  });
  const server = await serveAlone(dashboard, { host: "127.0.0.1", port: 0, token: "dashboard-look" });
  onTestFinished(() => server.close());
  const looker = new Looker(server.url);
  expect(await looker.whole()).toMatchObject({
    driven: false,
    rows: [],
    status: { step: 1 },
    operations: { stopped: true },
  });
  expect(await looker.ask({ type: "stop" }, "nobody")).toMatchObject({ type: "refused", code: "RUN_UNREACHABLE" });
  expect((await fetch(server.url.replace("look", "guess"))).status).toBe(403);
  await expect(readStatus(server.url)).rejects.toThrow("npx coordinator status RUN_DIR");
  const feed = server.url.replace("http", "ws").replace("?", "/feed?");
  const foreign = new WebSocket(feed, { origin: "https://elsewhere.example" });
  expect(await new Promise((resolve) => foreign.on("error", ({ message }) => resolve(message)))).toContain("403");
});

test("O16 what is no run's folder is CONFIG_INVALID", async () => {
  await expect(FolderRun.open(await scratchFolder())).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

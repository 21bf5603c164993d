// Rules of those who look on (SPEC.md, O), with a real coordinator.

import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { expect, test } from "vitest";
import {
  historyAnswerSchema,
  MOST_PAGE_MESSAGE_BYTES,
  runListSchema,
} from "../../../coordinator/dashboard/feed-message.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";
import { Looker } from "./looker.ts";

const linkOf = ({ run, coordination }: TestRun, token = run.directory.dashboardToken) =>
  coordination.server.linkTo("dashboard", token);

/** The address of something below the dashboard, with its token. */
function below(started: TestRun, path: string): URL {
  const url = new URL(linkOf(started));
  const [name, query = ""] = path.split("?");
  url.pathname = `${url.pathname}/${name}`;
  for (const [key, value] of new URLSearchParams(query)) url.searchParams.append(key, value);
  return url;
}

test("O1 the dashboard is there for its own token and the operator's; the volunteers' and any other get 403", async () => {
  const started = await startTestRun();
  const { token, operatorToken, dashboardToken } = started.run.directory;
  expect(dashboardToken).toMatch(/^dashboard-[\w-]{22}$/);
  const status = async (path: string, shown: string) => {
    const url = below(started, path);
    if (path === "") url.pathname = url.pathname.slice(0, -1);
    url.searchParams.set("token", shown);
    return (await fetch(url)).status;
  };
  for (const path of ["runs", "history"]) {
    expect([path, await status(path, dashboardToken)]).toEqual([path, 200]);
    expect([path, await status(path, operatorToken)]).toEqual([path, 200]);
    expect([path, await status(path, token)]).toEqual([path, 403]);
  }
  expect(await status("", token)).toBe(403);
  const volunteer = new Looker(linkOf(started, token));
  expect((await volunteer.closed).code).toBe(1006);
  // It is nobody's link to work by, either.
  for (const path of ["", "board", "joinable"]) {
    expect((await fetch(new URL(`/${path}?token=${dashboardToken}`, started.straightUrl))).status).toBe(403);
  }
});

test("O2 its answers let a page load and ask nothing but its own host's", async () => {
  const started = await startTestRun();
  for (const url of [new URL(linkOf(started)), below(started, "runs"), below(started, "nothing.js")]) {
    const policy = (await fetch(url)).headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|data:|https?:|\*/);
  }
});

test("O3 the whole and the changes after it come to the view that a later whole begins with", async () => {
  const started = await startTestRun({ config: { lease: { maxMicrobatches: 1 } } });
  const early = new Looker(linkOf(started));
  expect(await early.whole()).toMatchObject({ driven: true, facts: [], status: { step: 0, state: "waiting" } });
  const [one, two] = [await started.connect().join(), await started.connect().join()];
  const gone = await started.connect().join();
  await early.first("change", ({ facts = [] }) => facts.some(({ worker }) => worker === "w3"));
  gone.send({ type: "leave" });
  const held = await two.lease();
  await one.answer(await one.lease());
  await early.first("change", ({ rows = [] }) =>
    rows.some(([worker, , , , , samples]) => worker === "w1" && samples === 16),
  );
  await early.first("change", ({ left = [] }) => left.includes("w3"));
  const late = new Looker(linkOf(started));
  await late.whole();
  await expect.poll(() => early.board?.at).toBe(late.board?.at);
  const shown = ({ board }: Looker) => {
    const workers = [...(board?.workers.values() ?? [])].map(({ stretches: _, ...worker }) => worker);
    return { ...board, workers: workers.sort((a, b) => a.worker.localeCompare(b.worker)) };
  };
  expect(shown(early)).toEqual(shown(late));
  expect(shown(late).workers).toMatchObject([
    { worker: "w1", state: "waiting", samples: 16, own: true, adapter: "scripted", software: true },
    { worker: "w2", state: expect.stringMatching(/computing|stalled/), held: 16 },
  ]);
  // A contribution is larger than all that is said beside it.
  const { down = 0, up = 0 } = late.board?.workers.get("w1") ?? {};
  expect(up).toBeGreaterThan(late.board?.workers.get("w2")?.up ?? 0);
  expect(down).toBeGreaterThan(0);
  expect(late.board?.events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["joined", "left", "checkpoint"]));
  // The same bytes go to both.
  await two.answer(held);
  await early.first("change", ({ rows = [] }) =>
    rows.some(([worker, , , , , samples]) => worker === "w2" && samples === 16),
  );
  await expect.poll(() => late.texts.at(-1)).toBe(early.texts.at(-1));
});

test("O9 a command needs the operator's token, and nothing happens with another", async () => {
  const started = await startTestRun();
  const { token, dashboardToken, operatorToken } = started.run.directory;
  const looker = new Looker(linkOf(started));
  await looker.whole();
  for (const wrong of [token, dashboardToken, ""]) {
    expect(await looker.ask({ type: "pause" }, wrong)).toMatchObject({ type: "refused", code: "TOKEN_INVALID" });
  }
  expect(looker.board?.operations.paused).toBe("no");
  expect(await looker.ask({ type: "may-i" }, operatorToken)).toMatchObject({ type: "done" });
});

test("O10 with the operator's token a run pauses, goes on, has a checkpoint written, lets a worker go and stops", async () => {
  const started = await startTestRun({ config: { checkpoint: { everySteps: 1000 } } });
  const { operatorToken } = started.run.directory;
  const looker = new Looker(linkOf(started));
  await looker.whole();
  const worker = await started.connect().join();
  const lease = await worker.lease();
  expect(await looker.ask({ type: "pause" }, operatorToken)).toMatchObject({ type: "done" });
  expect(await looker.ask({ type: "checkpoint" }, operatorToken)).toMatchObject({ type: "done" });
  await worker.answer(lease);
  await looker.first("change", ({ operations }) => operations?.paused === "yes" && operations.checkpointStep === 1);
  expect(looker.board?.status).toMatchObject({ step: 1, reason: expect.stringContaining("paused") });
  await looker.ask({ type: "go-on" }, operatorToken);
  const next = await worker.lease();
  expect(next.step).toBe(1);
  await looker.ask({ type: "drain", worker: worker.welcome.worker }, operatorToken);
  await looker.ask({ type: "stop" }, operatorToken);
  await worker.answer(next);
  expect(await worker.next("error")).toMatchObject({ code: "WORKER_DRAINED", retry: false });
  expect(await started.coordination.done).toMatchObject({ finished: false, step: 2 });
  expect(await looker.closed).toMatchObject({ code: 1001 });
  const notices = (await started.events()).filter(({ type }) => type === "notice").map(({ message }) => message);
  for (const word of ["pauses", "checkpoint", "goes on", "w1 finishes", "ends"]) {
    expect(notices).toContainEqual(expect.stringMatching(new RegExp(`asked for on the dashboard.*${word}`)));
  }
});

test.each([
  ["what is no command", JSON.stringify({ type: "hello" }), 4003],
  ["what is no JSON", "{", 4003],
  ["more than a command has", "x".repeat(MOST_PAGE_MESSAGE_BYTES + 1), 1009],
])("O11 a page that says %s is cut", async (_, text, code) => {
  const started = await startTestRun();
  const looker = new Looker(linkOf(started));
  await looker.whole();
  looker.socket.send(text);
  expect((await looker.closed).code).toBe(code);
});

test("O12 curves are those of the run and of runs beside it, and of no folder elsewhere", async () => {
  const started = await startTestRun({ maxSteps: 3 });
  const worker = await started.connect().join();
  await worker.answer(await worker.lease());
  const own = basename(started.run.directory.path);
  const { runs } = runListSchema.parse(await (await fetch(below(started, "runs"))).json());
  expect(runs).toEqual([expect.objectContaining({ run: own, own: true })]);
  await expect
    .poll(async () => historyAnswerSchema.parse(await (await fetch(below(started, "history?series=samples"))).json()))
    .toMatchObject({ steps: [1], series: { samples: { mean: [64] } } });
  expect((await fetch(below(started, `history?run=${own}`))).status).toBe(200);
  const inside = join("..", basename(dirname(started.run.directory.path)), own);
  for (const run of ["images", "..", ".", inside, "/etc", started.run.directory.path]) {
    expect([run, (await fetch(below(started, `history?run=${encodeURIComponent(run)}`))).status]).toEqual([run, 404]);
  }
  expect((await fetch(below(started, "history?from=-1"))).status).toBe(400);
});

test("O13 the dashboard's link and its log stay over resumes, and the operator's token does not", async () => {
  const started = await startTestRun({ maxSteps: 1 });
  const worker = await started.connect().join();
  await worker.work();
  await started.coordination.done;
  const before = started.run.directory;
  const again = await reopenRun(before.path);
  const resumed = await startTestRun({ open: again });
  const { events = [] } = await new Looker(linkOf(resumed)).whole();
  // What happened before is in its log, at its time.
  expect(events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["joined", "left", "resumed"]));
  expect(events.find(({ kind }) => kind === "joined")?.time).toBeLessThan(events.at(-1)?.time ?? 0);
  expect(again.directory.dashboardToken).toBe(before.dashboardToken);
  expect(again.directory.operatorToken).not.toBe(before.operatorToken);
  expect((await readFile(join(before.path, "dashboard-token"), "utf8")).trim()).toBe(before.dashboardToken);
});

test("O14 the feed tells no folder of this machine, and no address of a visitor", async () => {
  const started = await startTestRun();
  const looker = new Looker(linkOf(started));
  const stranger = started.connectStranger();
  await stranger.opened();
  stranger.send({ ...stranger.hello(), token: "wrong" });
  await stranger.closed;
  const worker = await started.connect().join();
  await worker.answer(await worker.lease());
  await looker.first("change", ({ events = [] }) => events.some(({ kind }) => kind === "turned-away"));
  const told = looker.texts.join("\n");
  expect(told).toContain("checkpoint of step 0");
  expect(told).not.toContain(dirname(started.run.directory.path));
  expect(told).not.toContain("127.0.0.1");
});

// A worker compiles before it asks, and says so: no lease's clock runs while it does.

import { expect, test } from "vitest";
import { phasesOf } from "../../../shared/run/program.ts";
import { comingPhases } from "../../../worker/session/coming-phases.ts";
import type { ComingPhase } from "../../../worker/trainer/trainer-contract.ts";
import { startTestRun } from "../../fixtures/test-run.ts";
import { tinyConfig, tinyDataset } from "../../fixtures/tiny-run.ts";
import { leaseOf, scriptedStatus } from "../../worker/session/scripted-run.ts";
import { answer, blob, stage } from "../../worker/session/session-stage.ts";

/** A trainer that makes ready until the test lets it go on. */
function slowToPrepare() {
  const calls: {
    readonly phases: readonly ComingPhase[];
    readonly aborted: () => boolean;
    readonly soon: () => void;
    readonly done: () => void;
  }[] = [];
  const prepare = (phases: readonly ComingPhase[], aborted: () => boolean, soon = () => {}) =>
    new Promise<void>((done) => void calls.push({ phases, aborted, soon, done }));
  return { calls, prepare };
}

test("W15 a worker asks for its first lease once the phase that the run is in is compiled", async () => {
  const { calls, prepare } = slowToPrepare();
  const play = await stage(answer, {}, {}, { prepare });
  const peer = await play.coordinator.joined();
  // Of the whole program this step is in its last epoch of the student.
  peer.send({ type: "status", status: scriptedStatus({ step: 40 }) });
  await expect.poll(() => calls.length).toBe(1);
  await play.reached("preparing");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(peer.unread).toEqual([]);
  expect(calls[0].phases.map(({ phase }) => phase)).not.toContain("teacher");
  calls[0].done();
  await peer.next("ready");
  expect(play.events.map((event) => event.type === "state" && event.state.kind)).not.toContain("computing");
});

test("W25 a worker whose kernels are almost compiled asks, fetches the lease's images, and computes once they are", async () => {
  const { calls, prepare } = slowToPrepare();
  const play = await stage(answer, {}, {}, { prepare });
  const peer = await play.coordinator.joined();
  await expect.poll(() => calls.length).toBe(1);
  calls[0].soon();
  calls[0].soon();
  await peer.next("ready");
  peer.send(leaseOf(1, peer.sendParameters(blob)));
  await expect.poll(() => play.coordinator.requests.some((path) => path.startsWith("/shards/"))).toBe(true);
  expect(play.trainers[0].leases).toEqual([]);
  calls[0].done();
  await peer.next("frame");
  expect(play.trainers[0].leases).toEqual([1]);
});

test("W25 a device that is lost before its kernels are compiled gives back what was asked for", async () => {
  const { calls, prepare } = slowToPrepare();
  const play = await stage(answer, {}, {}, { prepare });
  const peer = await play.coordinator.joined();
  await expect.poll(() => calls.length).toBe(1);
  calls[0].soon();
  await peer.next("ready");
  peer.send(leaseOf(1, peer.sendParameters(blob)));
  await expect.poll(() => play.coordinator.requests.some((path) => path.startsWith("/shards/"))).toBe(true);
  play.trainers[0].lose("reset");
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "device-lost" });
});

test("W15 a worker that pauses while it prepares stops, and prepares again before it asks", async () => {
  const { calls, prepare } = slowToPrepare();
  const play = await stage(answer, {}, {}, { prepare });
  const peer = await play.coordinator.joined();
  await expect.poll(() => calls.length).toBe(1);
  play.session.pause();
  await peer.next("paused");
  expect(calls[0].aborted()).toBe(true);
  play.session.resume();
  await expect.poll(() => calls.length).toBe(2);
  expect(peer.unread).toEqual([]);
  calls[1].done();
  await peer.next("ready");
});

test("W15 a device that replaces a lost one is made ready before the next lease is asked for", async () => {
  const { calls, prepare } = slowToPrepare();
  const play = await stage(answer, {}, {}, { prepare });
  const peer = await play.coordinator.joined();
  await expect.poll(() => calls.length).toBe(1);
  // Some runtimes never settle what waits for a lost device.
  play.trainers[0].lose("reset");
  await expect.poll(() => calls.length).toBe(2);
  calls[1].done();
  await peer.next("ready");
});

test("the phases that come are those of the program from where the run stands, each once", () => {
  const config = tinyConfig();
  const dataset = tinyDataset(config);
  const run = { config, dataset, program: phasesOf(config).outline };
  const names = (...words: Parameters<typeof comingPhases>) => [
    ...new Set(comingPhases(...words).map(({ phase }) => phase)),
  ];
  expect(names(run)).toEqual(["teacher", "evaluate-teacher", "student", "bn", "evaluate-student"]);
  // Two steps of the teacher come first.
  expect(names(run, { step: 2, state: "evaluating" })).toEqual([
    "evaluate-teacher",
    "student",
    "bn",
    "evaluate-student",
  ]);
  expect(names(run, { step: 2, state: "training" })[0]).toBe("student");
  expect(names(run, { step: 9, state: "training" })[0]).toBe("bn");
  expect(comingPhases(run, { step: 2, state: "training" })[0].weights).toMatchObject({ task: 1 });
});

test("the coordinator says in words who prepares, and who joins is told at once where the run stands", async () => {
  const run = await startTestRun();
  await run.connect().join();
  const status = async () => {
    const { origin, search } = new URL(run.url);
    return (await (await fetch(`${origin}/status${search}`)).json()) as { readonly reason: string };
  };
  await expect.poll(async () => (await status()).reason).toBe("0/1 workers, 0/64 samples, w1 prepares");
});

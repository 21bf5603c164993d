// What any engine must do (SPEC.md, N), as one suite: real rounds with real contributions, whatever is between the
// inbox and the sums.

import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { readCommitLog, standingCommits } from "../../coordinator/checkpoint/commit-log.ts";
import type { RunSummary } from "../../coordinator/engine/engine.ts";
import { leaseId } from "../../shared/base/ids.ts";
import { samplesOf } from "../../shared/wire/lease-ranges.ts";
import { runStatusSchema } from "../../shared/wire/run-status.ts";
import type { ScriptedContribution } from "../fixtures/scripted-contribution.ts";
import { type MakeEngine, Stage, type StagedWorker, type StageOptions } from "./stage.ts";

/** Rounds whose lost ranges are leased again soon. */
const hasty = { lease: { timeoutMs: 1200, minDeadlineMs: 500, maxMicrobatches: 1 } };

/** Parameters after each step, as the log says. */
async function stepHashes(path: string): Promise<string[]> {
  const commits = standingCommits(await readCommitLog(path));
  return commits.flatMap((commit) => (commit.type === "step" ? [`${commit.step} ${commit.paramsHash}`] : []));
}

/** How often each position of each pass was committed. */
async function committed(path: string): Promise<Map<number, number[]>> {
  const counts = new Map<number, number[]>();
  for (const commit of standingCommits(await readCommitLog(path))) {
    if (commit.type !== "step") continue;
    const pass = counts.get(commit.pass) ?? [];
    for (const [from, to] of commit.ranges) for (let at = from; at < to; at++) pass[at] = (pass[at] ?? 0) + 1;
    counts.set(commit.pass, pass);
  }
  return counts;
}

/** Sees each of a pass's samples in exactly one step, for all passes that are over. */
async function expectExactlyOnce({ run }: Stage, passes: number): Promise<void> {
  const counts = await committed(run.directory.path);
  expect(counts.size).toBe(passes);
  const { batch, steps } = { batch: run.state.config.batch, steps: (await stepHashes(run.directory.path)).length };
  const all = [...counts.values()];
  expect(all.reduce((sum, { length }) => sum + length, 0)).toBe(steps * batch);
  for (const pass of all) {
    expect(pass.every((count) => count === 1)).toBe(true);
  }
}

/** Drives a run to its end with this many honest workers. */
async function workToTheEnd(stage: Stage, workers: number): Promise<RunSummary> {
  const { done } = stage.start();
  const crew = Array.from({ length: workers }, (_, i) => stage.join(`crew${i}`));
  await Promise.all(crew.map((worker) => worker.work(done)));
  return done;
}

/** Each of a contribution's integers is another one. */
function otherwise({ header, peaks, body }: ScriptedContribution): ScriptedContribution {
  const units = new Int32Array(body.slice().buffer).map((unit) => Math.round(unit / 2));
  return { header, peaks, body: new Uint8Array(units.buffer) };
}

/** Declares the suite for one engine. @param make makes it ready for a run */
export function engineContract(name: string, make: MakeEngine): void {
  const open = (options?: StageOptions) => Stage.open(make, options);

  test(`N1 ${name}: a worker that is ready is leased work, whose parameters are there by name and of the hashes that it names`, async () => {
    const stage = (await open()).start();
    const worker = stage.join("one");
    const lease = await worker.lease();
    expect(lease).toMatchObject({ type: "lease", step: 0, round: 1, ranges: [{ from: 0, to: 64 }], split: "train" });
    await worker.answer(lease);
    // The next version is a change of the one before, or it would not be decoded.
    expect(await worker.lease()).toMatchObject({ step: 1, round: 2, ranges: [{ from: 64, to: 128 }] });
    expect(stage.engine.blob("0".repeat(64))).toBeUndefined();
    expect(stage.events).toContainEqual(expect.objectContaining({ type: "joined", worker: "one", name: "one" }));
  });

  test(`N2 ${name}: whoever comes first is leased what nobody holds, and a round is sealed with all of it`, async () => {
    const stage = (await open({ config: { lease: { maxMicrobatches: 1 } } })).start();
    const workers = ["a", "b", "c", "d"].map((each) => stage.join(each));
    const leases = [];
    for (const worker of workers) leases.push(await worker.lease());
    expect(leases.map(({ ranges }) => ranges)).toEqual([0, 16, 32, 48].map((from) => [{ from, to: from + 16 }]));
    expect(new Set(leases.map(({ lease }) => lease)).size).toBe(4);
    for (const [i, worker] of workers.entries()) await worker.answer(leases[i]);
    await expect.poll(() => stage.engine.status().step).toBe(1);
    expect(stage.engine.status().samples).toBe(64);
  });

  test(`N3 ${name}: a contribution counts once; a second to the same lease is CONTRIBUTION_STALE`, async () => {
    const stage = (await open()).start();
    const worker = stage.join("one");
    const lease = await worker.lease();
    await worker.answer(lease);
    await worker.contribute(worker.honest(lease));
    expect(await worker.next("rejected")).toMatchObject({
      lease: lease.lease,
      refusal: { code: "CONTRIBUTION_STALE" },
    });
    await expect.poll(() => stage.engine.status().samples).toBe(64);
  });

  test(`N4 ${name}: what does not fit its lease is rejected, and the range leased again; what names no lease is thrown, with its code`, async () => {
    const stage = (await open()).start();
    const [clumsy, other] = [stage.join("clumsy"), stage.join("other")];
    const lease = await clumsy.lease();
    const honest = clumsy.honest(lease);
    await clumsy.contribute({ ...honest, header: { ...honest.header, codec: "f32" } });
    expect(await clumsy.next("rejected")).toMatchObject({ refusal: { code: "CONTRIBUTION_MISMATCH" } });
    // Of the same range, as much as is its share.
    expect((await other.lease()).ranges[0].from).toBe(lease.ranges[0].from);
    const stranger = stage.join("stranger");
    await expect(stage.engine.inbox.contribute(stranger.name, new Uint8Array(100))).rejects.toMatchObject({
      name: "BitswarmError",
      code: "FRAME_CORRUPT",
    });
  });

  test(`N5 ${name}: a lease that is not answered in time goes to another, and its late answer does not count`, async () => {
    const stage = (await open({ config: hasty })).start();
    const [slow, quick] = [stage.join("slow"), stage.join("quick")];
    const late = await slow.lease();
    const ranges: number[] = [];
    while (!ranges.includes(late.ranges[0].from)) {
      const lease = await quick.lease();
      expect(lease.step).toBe(0);
      ranges.push(lease.ranges[0].from);
      await quick.answer(lease);
    }
    await slow.contribute(slow.honest(late));
    expect(await slow.next("rejected")).toMatchObject({
      lease: late.lease,
      refusal: { code: "CONTRIBUTION_STALE" },
    });
    await expect.poll(() => stage.engine.status().samples).toBe(64);
  });

  test(`N6 ${name}: what a worker holds that leaves, pauses or gives it back goes to another at once`, async () => {
    const stage = (await open()).start();
    const other = stage.join("other");
    const { inbox } = stage.engine;
    const wants = async (named: string, part: (worker: StagedWorker, lease: number) => void) => {
      const worker = stage.join(named);
      const { lease, ranges } = await worker.lease();
      part(worker, lease);
      const theirs = await other.lease();
      expect(theirs).toMatchObject({ ranges });
      inbox.giveBack(other.name, leaseId(theirs.lease), { reason: "pause", detail: "" });
    };
    await wants("leaves", (worker) => worker.leave());
    await wants("pauses", (worker) => inbox.pause(worker.name));
    await wants("gives back", (worker, lease) => {
      inbox.giveBack(worker.name, leaseId(lease), { reason: "error", detail: "out of memory" });
    });
    expect(stage.events).toContainEqual(
      expect.objectContaining({ type: "returned", worker: "gives back", detail: "out of memory" }),
    );
    expect(stage.events).toContainEqual(expect.objectContaining({ type: "left", worker: "leaves", code: "LEFT" }));
  });

  test(`N7 ${name}: a worker whose connection is lost keeps its lease, and its answer counts when it is back`, async () => {
    const stage = (await open()).start();
    const worker = stage.join("one");
    const lease = await worker.lease();
    worker.loseConnection();
    worker.comeBack();
    await worker.answer(lease);
    await expect
      .poll(() => stage.events.map(({ type }) => type))
      .toEqual(expect.arrayContaining(["worker-suspended", "worker-resumed", "step"]));
  });

  test(`N8 ${name}: a worker that is gone for long is waited for no longer: another computes what it holds, and one answer counts`, async () => {
    const stage = (await open()).start();
    const [gone, other] = [stage.join("gone"), stage.join("other")];
    const lease = await gone.lease();
    gone.loseConnection();
    const theirs = await other.lease();
    expect(theirs).toMatchObject({ ranges: lease.ranges });
    await other.answer(theirs);
    gone.comeBack();
    await gone.contribute(gone.honest(lease));
    expect(await gone.next("rejected")).toMatchObject({ refusal: { code: "CONTRIBUTION_STALE" } });
    await expect.poll(() => stage.engine.status().samples).toBe(64);
  });

  test(`N9 ${name}: with ready and ahead a worker holds two leases, and no third`, async () => {
    const stage = (await open({ config: { lease: { maxMicrobatches: 1 } } })).start();
    const worker = stage.join("one");
    const first = await worker.lease();
    worker.ready(true);
    const second = await worker.leased();
    expect([first.ranges[0].from, second.ranges[0].from]).toEqual([0, 16]);
    await worker.answer(first);
    await worker.hearsNo("lease");
    worker.ready(true);
    expect((await worker.leased()).ranges[0].from).toBe(32);
  });

  test(`N10 ${name}: the status says where the run is, as data that any socket carries`, async () => {
    const stage = (await open()).start();
    expect(runStatusSchema.parse(stage.engine.status())).toMatchObject({ run: "run", state: "waiting", step: 0 });
    const worker = stage.join("one");
    await worker.answer(await worker.lease());
    await worker.lease();
    await expect
      .poll(() => stage.engine.status())
      .toMatchObject({ state: "training", step: 1, workers: 1, samples: 64 });
    const status = stage.engine.status();
    expect(structuredClone(status)).toEqual(status);
    expect(runStatusSchema.parse(status)).toEqual(status);
  });

  test(`N11 ${name}: a frozen network that a lease names is there by its SHA-256`, async () => {
    const stage = (await open({ config: { teacher: { epochs: 1 } } })).start();
    const worker = stage.join("one");
    let lease = await worker.lease();
    while (lease.frozen.teacher === undefined) {
      await worker.answer(lease);
      lease = await worker.lease();
    }
    const { teacher } = lease.frozen;
    const bytes = stage.engine.blob(teacher);
    expect(
      createHash("sha256")
        .update(bytes ?? "")
        .digest("hex"),
    ).toBe(teacher);
    expect(stage.engine.blob(teacher)).toBe(bytes);
  });

  test(`N12 ${name}: a run to its end commits every sample once, with the same bits for one worker and for three`, async () => {
    const [alone, together] = [await open(), await open()];
    const [one, three] = [await workToTheEnd(alone, 1), await workToTheEnd(together, 3)];
    expect(one).toMatchObject({ finished: true, step: 24, steps: 24, samples: 6 * 256 });
    expect({ ...three, checkpoint: "" }).toEqual({ ...one, checkpoint: "" });
    const hashes = await stepHashes(alone.run.directory.path);
    expect(hashes).toHaveLength(24);
    expect(await stepHashes(together.run.directory.path)).toEqual(hashes);
    await expectExactlyOnce(together, 6);
    expect(alone.engine.status()).toMatchObject({ state: "done", step: 24 });
  });

  test(`N13 ${name}: a stop finishes the step that somebody computes, and another engine goes on from there with the same bits`, async () => {
    const whole = await open({ maxSteps: 7 });
    const expected = await workToTheEnd(whole, 1);
    const first = (await open()).start();
    const worker = first.join("one");
    let lease = await worker.lease();
    while (lease.step < 2) {
      await worker.answer(lease);
      lease = await worker.lease();
    }
    // The third step is computed, so the stop waits for it.
    first.engine.stop();
    await worker.answer(lease);
    expect(await first.done).toMatchObject({ finished: false, step: 3, samples: 3 * 64 });
    await first.close();
    const second = await open({ resume: first.run.directory.path, maxSteps: 7 });
    const summary = await workToTheEnd(second, 2);
    expect({ ...summary, checkpoint: "" }).toEqual({ ...expected, checkpoint: "" });
    expect(await stepHashes(second.run.directory.path)).toEqual(await stepHashes(whole.run.directory.path));
  });

  test(`N14 ${name}: a stop ends at once where nobody computes, and there is a checkpoint to go on from`, async () => {
    const stage = (await open()).start();
    stage.join("idle");
    stage.engine.stop();
    expect(await stage.done).toMatchObject({ finished: false, step: 0, samples: 0 });
    expect((await stage.done).checkpoint).toContain("step-0");
  });

  test(`N15 ${name}: a worker whose account others contradict is told to rest, and leased nothing meanwhile`, async () => {
    const config = { lease: { maxMicrobatches: 1 } };
    const stage = (await open({ config, draw: () => 0, maxSteps: 6 })).start();
    const honest = ["a", "b", "c", "d"].map((each) => stage.join(each));
    const liar = stage.join("liar");
    await Promise.all([...honest.map((worker) => worker.work(stage.done)), liar.work(stage.done, otherwise)]);
    const told = liar.heard.map(({ type }) => type);
    expect(told).toContain("rests");
    expect(told.slice(told.indexOf("rests"))).not.toContain("lease");
    expect(told).toContain("audited");
    for (const worker of honest) expect(worker.heard.map(({ type }) => type)).not.toContain("rests");
    const wrong = stage.events.flatMap((event) => (event.type === "audited" ? event.wrong : []));
    expect(new Set(wrong)).toEqual(new Set([liar.account]));
    await expectExactlyOnce(stage, 2);
  });

  test(`N16 ${name}: leases are numbered from where the engine is told to begin`, async () => {
    const stage = (await open({ firstLease: 5000 })).start();
    const worker = stage.join("one");
    const lease = await worker.lease();
    expect(lease.lease).toBe(5000);
    await worker.answer(lease);
    expect((await worker.lease()).lease).toBe(5001);
  });

  test(`N17 ${name}: all that is said to workers is data, and stays what it was`, async () => {
    const stage = await open({ maxSteps: 10 });
    await workToTheEnd(stage, 2);
    stage.expectUnchanged();
  });

  test(`N18 ${name}: with a codec that rounds a round that is late is sealed without what is missing, and the next one begins with it`, async () => {
    const config = { codec: "f32", lease: { timeoutMs: 20_000, minDeadlineMs: 1000 } };
    const stage = (await open({ config, maxSteps: 4 })).start();
    const [slow, quick] = [stage.join("slow"), stage.join("quick")];
    const first = await slow.lease();
    quick.ready();
    await slow.answer(first);
    const [late, theirs] = [await slow.lease(), await quick.leased()];
    await quick.answer(theirs);
    expect(await slow.next("cancelled")).toMatchObject({ lease: late.lease, reason: "sealed" });
    slow.leave();
    expect(await quick.lease()).toMatchObject({ step: 2, ranges: late.ranges });
    await expect
      .poll(() => stage.events)
      .toContainEqual(expect.objectContaining({ type: "carried", step: 2, samples: samplesOf(late.ranges) }));
  });

  test(`N19 ${name}: the watch says who takes part and at what, and where the pass stands, as data`, async () => {
    const stage = (await open({ config: { lease: { maxMicrobatches: 1 } } })).start();
    const [quick, slow] = [stage.join("quick"), stage.join("slow")];
    const lease = await quick.lease();
    await slow.lease();
    await quick.answer(lease);
    await expect
      .poll(() => stage.engine.watch().workers)
      .toEqual([
        expect.objectContaining({ worker: "quick", account: quick.account, activity: "waiting", held: 0, samples: 16 }),
        expect.objectContaining({ worker: "slow", own: true, activity: "computing", leases: 1, held: 16, samples: 0 }),
      ]);
    const watch = stage.engine.watch();
    expect(structuredClone(watch)).toEqual(watch);
    expect(watch).toMatchObject({ paused: "no", checkpointStep: 0, checkpointWanted: false });
    const range = (from: number) => ({ from, to: from + 16 });
    expect(watch.pass).toMatchObject({ samples: 256, committed: [], collected: [range(0)], leased: [range(16)] });
  });

  test(`N20 ${name}: a paused run finishes the step in hand and leases nothing until it is told to go on`, async () => {
    const stage = (await open()).start();
    const worker = stage.join("one");
    const lease = await worker.lease();
    stage.engine.operate({ type: "pause" });
    await worker.answer(lease);
    await expect.poll(() => stage.engine.watch().paused).toBe("yes");
    expect(stage.engine.status()).toMatchObject({ step: 1, reason: expect.stringContaining("paused") });
    worker.ready();
    await worker.hearsNo("lease");
    stage.engine.operate({ type: "go-on" });
    expect(await worker.leased()).toMatchObject({ step: 1 });
  });

  test(`N20 ${name}: where nobody works there is nothing to finish: a run pauses at once, and goes on from there`, async () => {
    const stage = (await open({ config: { lease: { maxMicrobatches: 1 } } })).start();
    await expect.poll(() => stage.engine.watch().pass.samples).toBeGreaterThan(0);
    stage.engine.operate({ type: "pause" });
    await expect.poll(() => stage.engine.watch().paused).toBe("yes");
    const worker = stage.join("one");
    worker.ready();
    await worker.hearsNo("lease");
    stage.engine.operate({ type: "go-on" });
    await worker.answer(await worker.leased());
    await worker.lease();
    // Whoever would have finished the step is gone: what it answered is computed again.
    stage.engine.operate({ type: "pause" });
    worker.leave();
    await expect.poll(() => stage.engine.watch().paused).toBe("yes");
    stage.engine.operate({ type: "go-on" });
    const next = stage.join("next");
    for (let i = 0; i < 4; i++) await next.answer(await next.lease());
    await expect.poll(() => stage.engine.status()).toMatchObject({ step: 1, samples: 64 });
  });

  test(`N20 ${name}: an evaluation that nobody computes when a run pauses is computed when it goes on`, async () => {
    const stage = await open({ maxSteps: 1 });
    const { done } = stage.start();
    const worker = stage.join("one");
    await worker.answer(await worker.lease());
    worker.leave();
    await expect.poll(() => stage.engine.status()).toMatchObject({ step: 1, workers: 0 });
    stage.engine.operate({ type: "pause" });
    await expect.poll(() => stage.engine.watch().paused).toBe("yes");
    expect(stage.events.filter(({ type }) => type === "evaluation")).toEqual([]);
    stage.engine.operate({ type: "go-on" });
    await stage.join("other").work(done);
    expect(await done).toMatchObject({ finished: true, step: 1 });
    expect(stage.events).toContainEqual(expect.objectContaining({ type: "evaluation", step: 1 }));
  });

  test(`N21 ${name}: a checkpoint that is asked for is written with the end of the step in hand`, async () => {
    const stage = (await open({ config: { checkpoint: { everySteps: 1000 } } })).start();
    const worker = stage.join("one");
    const lease = await worker.lease();
    stage.engine.operate({ type: "checkpoint" });
    await expect.poll(() => stage.engine.watch().checkpointWanted).toBe(true);
    await worker.answer(lease);
    await expect.poll(() => stage.engine.watch()).toMatchObject({ checkpointStep: 1, checkpointWanted: false });
    expect(stage.events).toContainEqual(expect.objectContaining({ type: "checkpoint", step: 1 }));
  });

  test(`N21 ${name}: where nobody works a checkpoint that is asked for is there at once`, async () => {
    const stage = (await open({ config: { checkpoint: { everySteps: 1000 } } })).start();
    const worker = stage.join("one");
    await worker.answer(await worker.lease());
    worker.leave();
    await expect.poll(() => stage.engine.status()).toMatchObject({ step: 1, workers: 0 });
    stage.engine.operate({ type: "checkpoint" });
    await expect.poll(() => stage.engine.watch()).toMatchObject({ checkpointStep: 1, checkpointWanted: false });
  });

  test(`N22 ${name}: a worker that is drained has its last answer counted, is leased nothing more, and is let go`, async () => {
    const stage = (await open({ config: { lease: { maxMicrobatches: 1 } } })).start();
    const [leaving, other] = [stage.join("leaving"), stage.join("other")];
    const lease = await leaving.lease();
    await other.lease();
    stage.engine.operate({ type: "drain", worker: leaving.name });
    leaving.ready(true);
    await expect
      .poll(() => stage.engine.watch().workers)
      .toContainEqual(expect.objectContaining({ worker: "leaving", draining: true, activity: "computing" }));
    expect(leaving.heard.map(({ type }) => type)).toEqual(["lease"]);
    await leaving.answer(lease);
    await leaving.next("dismissed");
    expect(leaving.heard.map(({ type }) => type)).toEqual(["lease", "accepted", "dismissed"]);
    // Of one that waits there is nothing to finish.
    const idle = stage.join("idle");
    stage.engine.operate({ type: "drain", worker: idle.name });
    await idle.next("dismissed");
    expect(stage.engine.status().collected).toBe(16);
  });
}

// One process at a time drives a run's folder, and knows so before it writes anything.

import { cp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { exportModel } from "../../../coordinator/checkpoint/export.ts";
import { type ClaimTimes, claimantOf, claimFolder } from "../../../coordinator/disk/claim.ts";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import { type OpenRun, openFreshRun, reopenRun } from "../../../coordinator/run/open-run.ts";
import { calmRun, scratchFolder, startTestRun, stepHashes, workToTheEnd } from "../../fixtures/test-run.ts";

/** Of another machine's claims, so that a test need not wait for long. */
const soon: ClaimTimes = { beatMs: 10, silentMs: 200 };

/** Every file of a folder, without the beats of its claim. */
async function contents(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && !entry.name.startsWith("claim-"));
  const read = files.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name);
    return [path, await readFile(path, "latin1")] as const;
  });
  return Object.fromEntries(await Promise.all(read));
}

async function close({ log, claim }: OpenRun): Promise<void> {
  await log.close();
  await claim.release();
}

/** A claim on a fresh folder with these fields of its head changed, whose maker shows no more signs of life. */
async function claimLeft(change: Record<string, unknown>): Promise<string> {
  const folder = await scratchFolder();
  const made = await claimFolder(folder);
  if (made.kind !== "claimed") throw new Error("nobody else is here");
  const path = join(folder, "claim-1");
  const [head, beat] = (await readFile(path, "utf8")).split("\n");
  await made.claim.release();
  await writeFile(path, `${JSON.stringify({ ...JSON.parse(head), ...change })}\n${beat}\n`);
  return folder;
}

async function claimed(folder: string, times?: ClaimTimes, onWait?: () => void): Promise<string> {
  const result = await claimFolder(folder, onWait, times);
  if (result.kind === "claimed") await result.claim.release();
  return result.kind;
}

test("whoever resumes a run that goes on is told where it runs, before anything is written, and it ends as if nobody had", async () => {
  const { summary: expected, hashes } = await calmRun();
  const started = await startTestRun();
  const { path } = started.run.directory;
  const worker = await started.connect().join();
  for (let step = 0; step < 5; step++) await worker.answer(await worker.lease());
  const held = await worker.lease();
  const before = await contents(path);
  for (let tries = 0; tries < 3; tries++) {
    await expect(reopenRun(path, { token: "another" })).rejects.toMatchObject({
      code: "RUN_IN_USE",
      message: expect.stringMatching(
        new RegExp(`by process ${process.pid} on .*, at http://127.0.0.1:\\d+\\. It goes on`),
      ),
    });
  }
  expect(await contents(path)).toEqual(before);
  await worker.answer(held);
  expect(await worker.work()).toBe("ended");
  expect({ ...(await started.coordination.done), checkpoint: "" }).toEqual(expected);
  expect(await stepHashes(started)).toEqual(hashes);
  await close(await reopenRun(path));
});

test("a coordinator of an older build, which claims nothing, is seen by its answering", async () => {
  const started = await startTestRun({ maxSteps: 2 });
  const { path } = started.run.directory;
  const names = (await readdir(path)).filter((name) => name.startsWith("claim-"));
  for (const name of names) await rm(join(path, name));
  await expect(reopenRun(path)).rejects.toMatchObject({
    code: "RUN_IN_USE",
    message: expect.stringContaining(`by process ${process.pid} on this machine, at http://127.0.0.1:`),
  });
  await workToTheEnd(started, 1);
  await close(await reopenRun(path));
});

test("of many who resume a run at once one drives it, and the others are refused", async () => {
  const started = await startTestRun({ maxSteps: 2 });
  await workToTheEnd(started, 1);
  const { path } = started.run.directory;
  for (let round = 0; round < 3; round++) {
    const all = await Promise.allSettled(Array.from({ length: 8 }, () => reopenRun(path)));
    const driven = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    const refused = all.flatMap((one) => (one.status === "rejected" ? [one.reason.code] : []));
    expect(driven).toHaveLength(1);
    expect(refused).toEqual(Array(7).fill("RUN_IN_USE"));
    await close(driven[0]);
  }
});

test("of two who start a run in one folder one does, and the other is refused", async () => {
  const given = await startTestRun({ maxSteps: 1 });
  const { config } = given.run.state;
  const folder = join(await scratchFolder(), "run");
  const all = await Promise.allSettled([1, 2, 3].map(() => openFreshRun(config, folder)));
  const driven = all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  expect(driven).toHaveLength(1);
  for (const one of all) {
    if (one.status === "rejected") expect(one.reason.code).toMatch(/^RUN_(IN_USE|EXISTS)$/);
  }
  await close(driven[0]);
});

test("status and export beside a run that goes on read what is whole, while checkpoints come and go", async () => {
  const started = await startTestRun({ config: { checkpoint: { everySteps: 1, keep: 1 } } });
  const { path } = started.run.directory;
  const out = join(await scratchFolder(), "model.safetensors");
  const over = workToTheEnd(started, 1);
  let done = false;
  void over.then(() => {
    done = true;
  });
  const seen: string[] = [];
  while (!done) {
    seen.push((await readStatus(path)).state);
    const exported = await exportModel(path, out).catch((error: { code: string }) => error);
    // Before the student's first step there is nothing to export.
    if ("code" in exported) expect(exported.code).toBe("CHECKPOINT_MISSING");
    else expect(exported.skipped).toEqual([]);
  }
  expect(seen.length).toBeGreaterThan(3);
  expect(await over).toMatchObject({ finished: true, step: 24 });
});

test.each([
  ["killed", { pid: 2 ** 22 + 7 }],
  ["killed, and its number given to another", { start: "1" }],
])("a claim of a process that was %s is no obstacle, and nobody waits", async (_, change) => {
  const folder = await claimLeft(change);
  const waits: string[] = [];
  expect(await claimed(folder, { beatMs: 10_000, silentMs: 1e9 }, () => waits.push("waits"))).toBe("claimed");
  expect(waits).toEqual([]);
});

test.each([
  ["of a machine that lost power", { place: "another boot" }],
  ["of a system that tells nothing of processes", { place: null, start: null }],
  ["that came with a copy of the folder", { inode: "1" }],
])("a claim %s is over once it is silent for long enough", async (_, change) => {
  const folder = await claimLeft(change);
  const waits: string[] = [];
  expect(await claimed(folder, soon, () => waits.push("waits"))).toBe("claimed");
  expect(waits).toEqual(["waits"]);
});

test("a claim that cannot be read is over once it is silent for long enough", async () => {
  const folder = await scratchFolder();
  await writeFile(join(folder, "claim-3"), "");
  expect(await claimed(folder, soon)).toBe("claimed");
  expect(await readdir(folder)).toEqual(["claim-4"]);
});

test("a claim of another machine holds as long as it beats", async () => {
  const folder = await claimLeft({ place: "another boot", pid: 4711, host: "elsewhere" });
  const path = join(folder, "claim-1");
  const { length } = (await readFile(path, "utf8")).split("\n")[0];
  const file = await open(path, "r+");
  let beat = 0;
  const timer = setInterval(() => file.write(String(++beat).padStart(12, "0"), length + 1), 20);
  onTestFinished(async () => {
    clearInterval(timer);
    await file.close();
  });
  const told: unknown[] = [];
  const result = await claimFolder(folder, (by, ms) => told.push(by?.host, ms), soon);
  expect(result).toMatchObject({ kind: "held", by: { pid: 4711, host: "elsewhere" } });
  expect(told).toEqual(["elsewhere", soon.silentMs]);
});

test("of many who find a claim left behind one takes it", async () => {
  const folder = await claimLeft({ place: "another boot" });
  const all = await Promise.all(Array.from({ length: 12 }, () => claimFolder(folder, undefined, soon)));
  expect(all.filter(({ kind }) => kind === "claimed")).toHaveLength(1);
  for (const one of all) if (one.kind === "claimed") await one.claim.release();
});

test("a claim shows that it lives, and its release is seen by everybody", async () => {
  const folder = await scratchFolder();
  const made = await claimFolder(folder, undefined, { beatMs: 10, silentMs: 100 });
  if (made.kind !== "claimed") throw new Error("nobody else is here");
  expect(await claimantOf(folder)).toMatchObject({ pid: process.pid });
  const beat = async () => (await readFile(join(folder, "claim-1"), "utf8")).split("\n")[1];
  const first = await beat();
  await expect.poll(beat).not.toBe(first);
  expect(await claimed(folder)).toBe("held");
  await made.claim.release();
  expect(await claimantOf(folder)).toBeUndefined();
  expect(await claimed(folder)).toBe("claimed");
});

test("a copy of a run's folder is a run of its own", async () => {
  const started = await startTestRun({ maxSteps: 2 });
  await workToTheEnd(started, 1);
  const { path } = started.run.directory;
  const original = await reopenRun(path);
  const copy = join(await scratchFolder(), "copy");
  await cp(path, copy, { recursive: true });
  expect((await stat(join(copy, "claim-2"))).isFile()).toBe(true);
  expect(await claimed(copy, soon)).toBe("claimed");
  await close(original);
});

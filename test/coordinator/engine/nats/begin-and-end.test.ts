// How coordinators of a run begin where another was before, and end: whoever lacks a part of it computes it again, and
// does not wait for ever where nobody is left to compute it.

import { cp, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../../coordinator/base/clock.ts";
import { readCommitLog } from "../../../../coordinator/checkpoint/commit-log.ts";
import { readLease } from "../../../../coordinator/cluster/keys.ts";
import { MemoryHub } from "../../../../coordinator/cluster/memory-hub.ts";
import type { ClusterPorts } from "../../../../coordinator/engine/nats/begin.ts";
import { NatsEngine } from "../../../../coordinator/engine/nats/nats-engine.ts";
import { checkRun } from "../../../../deploy/cluster/check-run.mjs";
import { Stage, type StageOptions } from "../../../engine/stage.ts";
import { scratchFolder } from "../../../fixtures/test-run.ts";

const exact = { codec: "exact", checkpoint: { everySteps: 100 } } as const;
const STEPS = 3;

const newHub = () => new MemoryHub({ clock: systemClock, draw: Math.random, run: "run" });

function portsOf(hub: MemoryHub, id: string): ClusterPorts {
  const [bus, bulk] = [hub.bus(id), hub.bulk(id)];
  const close = async () => {
    bulk.close();
    await bus.close();
  };
  return { bus, bulk, store: hub.store(id), close };
}

function open(ports: ClusterPorts, id: string, options: StageOptions = { config: exact }): Promise<Stage> {
  return Stage.open((run) => NatsEngine.open({ ports, id }, run), { ...options, maxSteps: STEPS });
}

/** A run of one coordinator, driven to its end. */
async function ended(hub: MemoryHub): Promise<Stage> {
  const stage = (await open(portsOf(hub, "c-0"), "c-0")).start();
  await stage.join("one").work(stage.done);
  expect(await stage.done).toMatchObject({ finished: true, step: STEPS });
  await stage.close();
  return stage;
}

/** Its folder, as a coordinator of its own that is gone left it. */
async function copyOf({ run }: Stage): Promise<string> {
  const folder = join(await scratchFolder(), basename(run.directory.path));
  await cp(run.directory.path, folder, { recursive: true });
  return folder;
}

test("U42 a fresh coordinator that finds one step committed and nobody there computes it again, and it stands once", async () => {
  const hub = newHub();
  const leader = (await open(portsOf(hub, "c-0"), "c-0")).start();
  leader.done.catch(() => undefined);
  await leader.workUntil("one", () => leader.engine.status().step === 1);
  hub.faults.cut.add("c-0");
  onTestFinished(() => void hub.faults.cut.clear());
  const fresh = (await open(portsOf(hub, "c-1"), "c-1")).start();
  await fresh.join("two").work(fresh.done);
  expect(await fresh.done).toMatchObject({ finished: true, step: STEPS });
  const { path } = fresh.run.directory;
  expect((await readCommitLog(path)).map(({ type }) => type).slice(0, 3)).toEqual(["step", "resume", "step"]);
  expect(checkRun([path])).toMatchObject({ problems: [], steps: STEPS });
  const alone = await ended(newHub());
  expect(checkRun([path]).paramsHashes).toEqual(checkRun([alone.run.directory.path]).paramsHashes);
});

test("U40 a coordinator that begins after the end, and has it, leads for the moment that it takes to end", async () => {
  const hub = newHub();
  const folder = await copyOf(await ended(hub));
  const again = (await open(portsOf(hub, "c-1"), "c-1", { resume: folder })).start();
  expect(await again.done).toMatchObject({ finished: true, step: STEPS });
  expect((await readLease(hub.store("c-2")))?.value).toMatchObject({ leader: "", over: true });
});

test("U41 a coordinator that begins after the end with an older checkpoint is told that the run has ended", async () => {
  const hub = newHub();
  const folder = await copyOf(await ended(hub));
  const checkpoints = join(folder, "checkpoints");
  for (const name of await readdir(checkpoints))
    if (name !== "step-0") await rm(join(checkpoints, name), { recursive: true });
  await expect(open(portsOf(hub, "c-1"), "c-1", { resume: folder })).rejects.toMatchObject({ code: "RUN_ENDED" });
  expect((await readLease(hub.store("c-2")))?.value).toMatchObject({ leader: "", over: true });
});

test("U41 a standby that has not the last sum when whoever led has ended is told that the run has ended", async () => {
  const hub = newHub();
  const leader = (await open(portsOf(hub, "c-0"), "c-0")).start();
  await expect.poll(async () => (await hub.store("c-2").read("head")) !== undefined).toBe(true);
  const ports = portsOf(hub, "c-1");
  const { bulk } = ports;
  let commits = 0;
  const late: ClusterPorts["bulk"] = {
    offer: (name, bytes) => bulk.offer(name, bytes),
    withdraw: (name) => bulk.withdraw(name),
    close: () => bulk.close(),
    fetch: (request) => {
      const last = request.name.startsWith("sum.") && ++commits === STEPS;
      if (!last) return bulk.fetch(request);
      return new Promise((_, reject) => {
        request.signal?.addEventListener("abort", () => reject(request.signal?.reason));
      });
    },
  };
  const standby = (await open({ ...ports, bulk: late }, "c-1")).start();
  standby.done.catch(() => undefined);
  await leader.join("one").work(leader.done);
  expect(await leader.done).toMatchObject({ finished: true, step: STEPS });
  await leader.close();
  await expect(standby.done).rejects.toMatchObject({ code: "RUN_ENDED" });
  expect(commits).toBe(STEPS);
});

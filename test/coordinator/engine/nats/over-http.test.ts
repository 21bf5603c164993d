// Coordinators whose long bytes come over HTTP: state, sums and what belongs to them.

import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../../coordinator/base/clock.ts";
import { readCommitLog, standingCommits } from "../../../../coordinator/checkpoint/commit-log.ts";
import { BusBulk } from "../../../../coordinator/cluster/bus-bulk.ts";
import { openDoor } from "../../../../coordinator/cluster/http/door.ts";
import { DoorTokens } from "../../../../coordinator/cluster/http/door-token.ts";
import { HttpBulk } from "../../../../coordinator/cluster/http/http-bulk.ts";
import { MemoryHub } from "../../../../coordinator/cluster/memory-hub.ts";
import { subjectsOf } from "../../../../coordinator/cluster/subjects.ts";
import { NatsEngine } from "../../../../coordinator/engine/nats/nats-engine.ts";
import { Stage } from "../../../engine/stage.ts";

const RUN = "run";
const STEPS = 4;
const subjects = subjectsOf(RUN);

async function coordinatorOn(hub: MemoryHub, id: string): Promise<Stage> {
  const bus = hub.bus(id);
  const overBus = new BusBulk({ bus, subjects, id, clock: systemClock });
  const tokens = new DoorTokens();
  const offered = (name: string) => overBus.offered(name);
  const { port, close: closeDoor } = await openDoor({ host: "127.0.0.1", port: 0, tokens, offered });
  const door = { url: `http://127.0.0.1:${port}`, tokens, close: closeDoor };
  const common = { bus, subjects, id, clock: systemClock, onNotice: () => undefined };
  // However short they are.
  const bulk = new HttpBulk({ ...common, overBus, door, leastBytes: 0 });
  const close = async () => {
    await bulk.close();
    await bus.close();
  };
  const ports = { bus, bulk, store: hub.store(id), close };
  const config = { codec: "exact", checkpoint: { everySteps: 100 } };
  const stage = await Stage.open((run) => NatsEngine.open({ ports, id }, run), { config, maxSteps: STEPS });
  onTestFinished(() => void hub.faults.cut.delete(id));
  return stage.start();
}

const hashesOf = async ({ run }: Stage) => {
  const commits = standingCommits(await readCommitLog(run.directory.path));
  return commits.flatMap((one) => (one.type === "step" ? [`${one.step} ${one.paramsHash}`] : []));
};

test("U58 a standby begins, follows and takes over with what came over HTTP alone", async () => {
  const hub = new MemoryHub({ clock: systemClock, draw: () => 0.5, run: RUN });
  let pieces = 0;
  hub.bus("looker").subscribe(subjects.bulk("*", "*"), () => pieces++);
  const leader = await coordinatorOn(hub, "c-0");
  const stepAt = (at: Stage, step: number) => () => at.engine.status().step >= step;
  await leader.workUntil("one", stepAt(leader, 1));
  const standby = await coordinatorOn(hub, "c-1");
  expect(standby.engine.status().step).toBe(1);
  await leader.workUntil("two", stepAt(standby, 2));
  // What a standby has may be on its way to the leader's own file still.
  await expect.poll(async () => (await hashesOf(leader)).length).toBeGreaterThanOrEqual(2);
  const before = await hashesOf(leader);
  hub.faults.cut.add("c-0");
  await expect.poll(() => standby.events.some(({ type }) => type === "leads")).toBe(true);
  await standby.join("three").work(standby.done);
  expect(await standby.done).toMatchObject({ finished: true, step: STEPS });
  expect((await hashesOf(standby)).slice(0, 2)).toEqual(before.slice(0, 2));
  expect(pieces).toBe(0);
  hub.faults.cut.clear();
  await expect(leader.done).rejects.toMatchObject({ code: "ENGINE_FENCED" });
});

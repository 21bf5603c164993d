// A gateway that hears nobody, as the run is over: it learns that from the store, and waits for nobody.

import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import type { LeaseValue } from "../../../coordinator/cluster/fence.ts";
import { HEAD_KEY, LEASE_KEY } from "../../../coordinator/cluster/keys.ts";
import { MemoryHub } from "../../../coordinator/cluster/memory-hub.ts";
import { meetLeader } from "../../../coordinator/gateway/meet-leader.ts";
import { LOOK_FOR_END_MS } from "../../../coordinator/gateway/run-end.ts";
import { Timeline } from "../../../coordinator/simulate/timeline.ts";
import { encodePlain } from "../../../shared/wire/plain-message.ts";
import { GatewayWorld } from "../../fixtures/gateway-world.ts";

const STEP = 7;

/** What whoever led left in the store. */
async function leave(hub: MemoryHub, lease: Partial<LeaseValue>): Promise<void> {
  const store = hub.store("looker");
  const head = { leader: "c1", epoch: 1, length: STEP, step: STEP, line: "", chain: "", before: "", fenced: 0 };
  await store.create(HEAD_KEY, encodePlain(head));
  await store.create(LEASE_KEY, encodePlain({ leader: "", epoch: 1, beat: 1, ...lease }));
}

/** A gateway that begins, in virtual time. */
async function begun(lease: Partial<LeaseValue>, mostMs: number) {
  const timeline = new Timeline();
  const clock = timeline.clock("world");
  const hub = new MemoryHub({ clock, draw: () => 0, run: "run" });
  const notices: string[] = [];
  const stop = new AbortController();
  let over = false;
  const until = async (done: () => boolean) => {
    while (!done()) {
      await setImmediate();
      timeline.next()?.call();
    }
  };
  const left = leave(hub, lease).then(() => {
    over = true;
  });
  await until(() => over);
  await left;
  over = false;
  const meeting = { bus: hub.bus("g1"), bulk: hub.bulk("g1"), keys: hub.store("g1"), run: "run", id: "g1", life: 1 };
  const from = timeline.now;
  const end = meetLeader({ ...meeting, clock, signal: stop.signal, onNotice: (text) => void notices.push(text) })
    .catch((error) => error)
    .finally(() => {
      over = true;
    });
  await until(() => over || timeline.now - from >= mostMs);
  const ms = timeline.now - from;
  stop.abort();
  await until(() => over);
  return { end: await end, ms, notices };
}

test("Q31 a gateway that begins after the run's end is told RUN_ENDED and after which step, once nobody led for 5 s", async () => {
  const { end, ms, notices } = await begun({ over: true }, 60_000);
  expect(end).toMatchObject({ code: "RUN_ENDED", message: expect.stringContaining(`after step ${STEP}`) });
  expect(ms).toBeGreaterThanOrEqual(LOOK_FOR_END_MS);
  expect(ms).toBeLessThan(2 * LOOK_FOR_END_MS);
  expect(notices).toEqual([]);
});

test.each([
  ["was stopped", { stopped: true }],
  ["is led on", { over: true, leader: "c1" }],
  ["has a leader that is gone", { leader: "c1" }],
])("Q31 a gateway waits for whoever goes on with a run that %s, and says so once", async (_what, lease) => {
  const { end, ms, notices } = await begun(lease, 60_000);
  expect(end).toMatchObject({ name: "AbortError" });
  expect(ms).toBeGreaterThanOrEqual(60_000);
  expect(notices).toEqual(["nobody leads the run run yet: this gateway waits"]);
});

test("Q32 a gateway that did not hear the last word of whoever led ends with the run all the same", async () => {
  const world = new GatewayWorld({ gateways: 1 });
  const { hub, hashes, timeline } = world;
  await world.play(() => hashes.length >= 2, 60_000);
  const gateway = world.gateways.get("g1")?.gateway;
  world.killLeader();
  const killed = timeline.now;
  await world.play(() => timeline.now - killed > 3 * LOOK_FOR_END_MS, 60_000);
  expect(gateway?.status().reason).toMatch(/^a pause/);
  const left = leave(hub, { over: true });
  await world.play(() => gateway?.status().state === "done", 2 * LOOK_FOR_END_MS);
  await left;
  expect(gateway?.status()).toMatchObject({ state: "done", step: STEP, reason: expect.stringContaining("its end") });
  expect(gateway?.ended).toBe(true);
  world.close();
});

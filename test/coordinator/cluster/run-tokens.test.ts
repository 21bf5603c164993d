// Which tokens a run of several coordinators has, where nobody leads who could tell them.

import { expect, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { MemoryHub } from "../../../coordinator/cluster/memory-hub.ts";
import { type AgreedTokens, agreeOnTokens } from "../../../coordinator/cluster/run-tokens.ts";

const newHub = () => new MemoryHub({ clock: systemClock, draw: Math.random, run: "run", timeoutMs: 5 });

const drawn = (id: string) => ({ token: `t ${id}`, operatorToken: `o ${id}`, dashboardToken: `d ${id}` });

/** What a coordinator takes for the run's. */
function agree(hub: MemoryHub, id: string, given: Partial<AgreedTokens> = {}, notices: string[] = []) {
  const onNotice = (message: string) => void notices.push(message);
  return agreeOnTokens({ store: hub.store(id), clock: systemClock, own: drawn(id), given, onNotice });
}

test("U44 coordinators that begin at once have the tokens of one of them, and so has whoever comes later", async () => {
  const hub = newHub();
  const ids = ["c-0", "c-1", "c-2"];
  const [first, ...others] = await Promise.all(ids.map((id) => agree(hub, id)));
  expect(ids.map(drawn)).toContainEqual(first);
  expect([...others, await agree(hub, "c-3")]).toEqual([first, first, first]);
});

test("U44 that is so, too, where answers of the store are lost, and whoever waits for it says so once", async () => {
  const hub = newHub();
  let swaps = 0;
  hub.faults.swap = () => ({ done: ++swaps % 2 === 0, answered: swaps % 4 === 0 });
  hub.faults.storeDown = true;
  const notices: string[] = [];
  const all = Promise.all(["c-0", "c-1", "c-2"].map((id) => agree(hub, id, {}, notices)));
  await expect.poll(() => notices.length).toBe(3);
  hub.faults.storeDown = false;
  const [first, ...others] = await all;
  expect(others).toEqual([first, first]);
  expect(notices).toHaveLength(3);
});

test("U44 a token that was given takes the place of what is there, and the others stay", async () => {
  const hub = newHub();
  const first = await agree(hub, "c-0");
  const given = { token: "chosen" };
  expect(await agree(hub, "c-1", given)).toEqual({ ...first, ...given });
  expect(await agree(hub, "c-0")).toEqual({ ...first, ...given });
  const fresh = newHub();
  expect(await agree(fresh, "c-2", given)).toEqual({ ...drawn("c-2"), ...given });
});

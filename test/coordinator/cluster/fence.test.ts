// Who leads, as a pure function of what was read and when; and that nothing of NATS is loaded before a run asks for it.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  LOOK_EVERY_MS,
  type Look,
  type StandbyState,
  TAKE_OVER_MS,
  watchLease,
} from "../../../coordinator/cluster/fence.ts";
import { sources } from "../../rooms.ts";

const held = (revision: number, leader = "c-0") => ({ revision, epoch: 3, leader });

/** The state after looks, each so long after the one before. */
function stateAfter(looks: readonly (Omit<Look, "now"> & { readonly ms?: number })[]): StandbyState["state"] {
  let state: StandbyState = { state: "loading", watched: null };
  let now = 0;
  for (const { ms = LOOK_EVERY_MS, ...look } of looks) {
    now += ms;
    state = watchLease(state, { now, ...look });
  }
  return state.state;
}

const times = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
const whole = TAKE_OVER_MS / LOOK_EVERY_MS;

describe("watchLease", () => {
  test("U15 a standby takes over after 2.5 s of one revision on its own clock, and not before", () => {
    const silent = { lease: held(7), caughtUp: true };
    expect(stateAfter(times(whole, silent))).toBe("following");
    expect(stateAfter(times(whole + 1, silent))).toBe("candidate");
    const beats = Array.from({ length: 3 * whole }, (_, i) => ({ lease: held(i >> 1), caughtUp: true }));
    expect(stateAfter(beats)).toBe("following");
  });

  test("U16 silence counts only while the store answers and the standby has caught up, and no sleep of its own does", () => {
    const [silent, unheard] = [
      { lease: held(7), caughtUp: true },
      { lease: "silent" as const, caughtUp: true },
    ];
    expect(stateAfter([...times(whole, silent), ...times(3 * whole, unheard)])).toBe("following");
    expect(stateAfter([silent, { ...silent, ms: 60_000 }])).toBe("following");
    expect(stateAfter(times(3 * whole, { ...silent, caughtUp: false }))).toBe("loading");
  });

  test("U17 nobody is waited for where nobody ever led, or the leader let go; a store that lost the lease is", () => {
    const none = { lease: null, caughtUp: true };
    expect(stateAfter([none])).toBe("following");
    expect(stateAfter([none, none])).toBe("candidate");
    expect(stateAfter([{ lease: held(7), caughtUp: true }, ...times(2, { lease: held(8, ""), caughtUp: true })])).toBe(
      "candidate",
    );
    expect(stateAfter([{ lease: held(7), caughtUp: true }, none, none, none])).toBe("following");
  });
});

test("U18 a run in one process loads nothing of NATS: one room imports its packages, and nothing imports that room before it is asked for", () => {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const text = (file: string) => readFileSync(path.join(root, file), "utf8");
  const room = (file: string) => file.startsWith("coordinator/cluster/nats/");
  const product = ["coordinator", "shared", "worker"].flatMap((wing) => sources(root, wing));
  const users = product.filter((file) => /from "@nats-io\//.test(text(file)));
  expect(users.length).toBeGreaterThan(2);
  expect(users.filter((file) => !room(file))).toEqual([]);
  const reached = new Set(["coordinator/program/cli.ts"]);
  for (const file of reached) {
    for (const [, type, named] of text(file).matchAll(/^(?:import|export)\s+(type\s)?[^;"']*?from\s+"(\.[^"]+)"/gm)) {
      if (type === undefined) reached.add(path.normalize(path.join(path.dirname(file), named)));
    }
  }
  expect(reached.size).toBeGreaterThan(200);
  expect(reached).toContain("coordinator/engine/nats/plugin.ts");
  expect([...reached].filter(room)).toEqual([]);
});

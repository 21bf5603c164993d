// A round over a whole validation set: cut up as any step, and lost only in the pieces of whoever goes away.

import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round/lease.ts";
import type { RoundEffect } from "../../../coordinator/round/state.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { RoundTable } from "../../fixtures/round-table.ts";

const IMAGES = 50_000;
const MICROBATCH = 32;
/** Images a second of each. */
const speeds = { w1: 40, w2: 20, w3: 20, w4: 5 } as const;

const size = ({ from, to }: Pick<Lease, "from" | "to">) => to - from;

test("in a round of 50,000 images a worker that is killed costs its own leases alone", () => {
  const options = { timeoutMs: 600_000, minDeadlineMs: 600_000, deadlineMs: 600_000, pieces: 4, first: 1 };
  const table = new RoundTable({ from: 0, to: IMAGES }, Object.keys(speeds).map(workerId), options);
  const seen: RoundEffect[] = [];
  /** Of each worker, when its lease will be answered. */
  const due = new Map<string, { readonly lease: Lease; readonly at: number }>();
  const note = (effects: readonly RoundEffect[]) => {
    seen.push(...effects);
    for (const effect of effects) {
      if (effect.type !== "grant") continue;
      const { worker, from, to } = effect.lease;
      const speed = speeds[worker as unknown as keyof typeof speeds];
      due.set(worker, { lease: effect.lease, at: table.now + (1000 * (to - from)) / speed });
    }
  };
  note(table.goOn().effects);
  let killed: Lease | undefined;
  while (!seen.some(({ type }) => type === "seal")) {
    const [next] = [...due.values()].sort((a, b) => a.at - b.at);
    if (!next) throw new Error(`nobody works: ${table.reason}`);
    table.now = next.at;
    due.delete(next.lease.worker);
    if (killed === undefined && next.lease.worker === workerId("w2") && table.now > 100_000) {
      // A kill: the socket goes, with the lease in hand.
      killed = next.lease;
      table.event({ type: "worker-left", worker: killed.worker });
      note(table.goOn().effects);
      continue;
    }
    table.answer(next.lease);
    note(table.goOn().effects);
    table.ready(next.lease.worker);
    note(table.goOn().effects);
  }
  const of = <T extends RoundEffect["type"]>(type: T) =>
    seen.filter((effect): effect is Extract<RoundEffect, { type: T }> => effect.type === type);
  const [seal] = of("seal");
  expect(seal.ranges.reduce((sum, range) => sum + size(range), 0)).toBe(IMAGES);
  const lost = of("lapse").reduce((sum, { lease }) => sum + size(lease), 0);
  expect(lost).toBe(size(killed!));
  // What a kill costs is a lease, never more than one of 64 microbatches.
  expect(lost).toBeLessThanOrEqual(64 * MICROBATCH);
  const work = of("grant").filter(({ lease }) => lease.purpose === "work");
  expect(work.reduce((sum, { lease }) => sum + size(lease), 0)).toBe(IMAGES + lost);
  expect(work.length).toBeGreaterThan(25);
});

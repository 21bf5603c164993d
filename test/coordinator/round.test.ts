// Rules L and C of SPEC.md, on the pure round: whatever happens in whatever order, no sample counts twice and none is lost.

import fc from "fast-check";
import { expect, test } from "vitest";
import { leaseMicrobatches, measured, type Speeds } from "../../coordinator/lease-sizing.ts";
import { type Decision, DIVERGED_REPORTS, decide, openRound } from "../../coordinator/round.ts";
import { beforeRounds, type RoundEffect, type RoundEvent, type RoundState } from "../../coordinator/round-state.ts";
import { leaseId, type WorkerId, workerId } from "../../shared/ids.ts";
import { intervalSet, type Range } from "../../shared/intervals.ts";

const w1 = workerId("w1");
const w2 = workerId("w2");
const options = { microbatch: 32, maxMicrobatches: 64, timeoutMs: 1000 };

type Grant = Extract<RoundEffect, { type: "grant" }>;

/** A round driven by hand: keeps the state, and the effects of the last event. */
class Table {
  state: RoundState;
  effects: readonly RoundEffect[] = [];
  reason = "";
  now = 0;

  constructor(range: Range, workers: readonly WorkerId[] = []) {
    this.state = beforeRounds();
    for (const worker of workers) this.event({ type: "worker-joined", worker });
    for (const worker of workers) this.event({ type: "worker-ready", worker });
    this.take(openRound(this.now, { round: 1, range, options, speeds: new Map() }, this.state));
  }

  take(decision: Decision): void {
    ({ state: this.state, effects: this.effects, reason: this.reason } = decision);
  }

  event(event: RoundEvent): readonly RoundEffect[] {
    this.take(decide(this.now, this.state, event));
    return this.effects;
  }

  grants(): readonly Grant[] {
    return this.effects.filter((effect) => effect.type === "grant");
  }

  answer({ worker, lease, from, to }: Grant): readonly RoundEffect[] {
    return this.event({ type: "contribution", worker, lease, samples: to - from });
  }
}

function codes(effects: readonly RoundEffect[]): string[] {
  return effects.flatMap((effect) => (effect.type === "reject" ? [effect.code] : []));
}

test("L1 a ready worker is leased whole microbatches, one lease at a time", () => {
  const table = new Table({ from: 128, to: 256 });
  table.event({ type: "worker-joined", worker: w1 });
  const [grant] = table.event({ type: "worker-ready", worker: w1 });
  expect(grant).toMatchObject({ type: "grant", worker: w1, from: 128, to: 256, expires: 1000 });
  expect(table.event({ type: "worker-ready", worker: w1 })).toEqual([]);
  expect(table.state.phase).toBe("collecting");
});

test("L2 the round is split among those who wait, so that all finish at about the same time", () => {
  const table = new Table({ from: 0, to: 128 }, [w1, w2]);
  expect(table.grants().map(({ worker, from, to }) => [worker, from, to])).toEqual([
    [w1, 0, 64],
    [w2, 64, 128],
  ]);
});

test("L2 shares follow measured speed, are at least one microbatch and stay within the limits", () => {
  let speeds: Speeds = new Map();
  for (let i = 0; i < 2; i++) speeds = measured(measured(speeds, w1, 300, 1000), w2, 100, 1000);
  const base = { workers: [w1, w2], speeds, unleased: 16, leased: 0, microbatch: 32, maxMicrobatches: 64 };
  const size = (worker: WorkerId, more: object = {}) =>
    leaseMicrobatches({ ...base, worker, timeoutMs: 60_000, ...more });
  expect(size(w1)).toBe(12);
  expect(size(w2, { unleased: 4, leased: 12 })).toBe(4);
  expect(size(w1, { maxMicrobatches: 5 })).toBe(5);
  expect(size(w2, { unleased: 1, leased: 0 })).toBe(1);
  // 100 samples/s for half of 1 s are one whole microbatch.
  expect(size(w2, { timeoutMs: 1000 })).toBe(1);
  expect(leaseMicrobatches({ ...base, speeds: new Map(), worker: w2, timeoutMs: 1000 })).toBe(8);
});

test("L2 the first lease of a worker is not measured: it compiled its shaders", () => {
  const once = measured(new Map(), w1, 32, 60_000);
  expect(once.get(w1)?.samplesPerSecond).toBeUndefined();
  expect(measured(once, w1, 32, 1000).get(w1)?.samplesPerSecond).toBe(32);
});

test("L3 a lease that expires goes to the head of the queue and to whoever waits; its late answer is stale", () => {
  const table = new Table({ from: 0, to: 64 }, [w1]);
  const [first] = table.grants();
  table.event({ type: "worker-joined", worker: w2 });
  expect(table.event({ type: "worker-ready", worker: w2 })).toEqual([{ type: "wait", worker: w2 }]);
  table.now = 999;
  expect(table.event({ type: "tick" })).toEqual([]);
  table.now = 1000;
  const effects = table.event({ type: "tick" });
  expect(effects[0]).toMatchObject({ type: "requeue", cause: "expired", worker: w1, from: 0, to: 64 });
  expect(effects[1]).toMatchObject({ type: "grant", worker: w2, from: 0, to: 64 });
  expect(codes(table.answer(first))).toEqual(["CONTRIBUTION_STALE"]);
  expect(table.answer(effects[1] as Grant).map(({ type }) => type)).toEqual(["accept", "seal"]);
});

test("L3 a worker that let a lease expire gets smaller ones, down to a microbatch", () => {
  const table = new Table({ from: 0, to: 256 }, [w1]);
  const sizes: number[] = [];
  for (let i = 0; i < 4; i++) {
    const [grant] = table.grants();
    sizes.push((grant.to - grant.from) / 32);
    table.now += 1000;
    table.event({ type: "tick" });
    table.event({ type: "worker-ready", worker: w1 });
  }
  expect(sizes[0]).toBe(8);
  expect(sizes[1]).toBe(2);
  expect(sizes.slice(2)).toEqual([1, 1]);
});

test("L4 a worker that leaves, pauses or returns its lease costs nothing but its time", () => {
  for (const event of [
    { type: "worker-left", worker: w1 },
    { type: "worker-paused", worker: w1 },
    { type: "lease-returned", worker: w1, lease: leaseId(1), notFinite: false },
  ] as const) {
    const table = new Table({ from: 0, to: 96 }, [w1]);
    expect(table.grants()).toHaveLength(1);
    expect(table.event(event)).toMatchObject([{ type: "requeue", from: 0, to: 96 }]);
    table.event({ type: "worker-joined", worker: w2 });
    expect(table.event({ type: "worker-ready", worker: w2 })).toMatchObject([{ type: "grant", from: 0, to: 96 }]);
  }
});

test("C1 a contribution counts once: its repetition, another's and one for no lease are refused", () => {
  const table = new Table({ from: 0, to: 128 }, [w1, w2]);
  const [mine, theirs] = table.grants();
  expect(codes(table.event({ type: "contribution", worker: w1, lease: theirs.lease, samples: 64 }))).toEqual([
    "LEASE_UNKNOWN",
  ]);
  expect(codes(table.event({ type: "contribution", worker: w1, lease: leaseId(99), samples: 64 }))).toEqual([
    "LEASE_UNKNOWN",
  ]);
  expect(table.answer(mine)[0]).toEqual({ type: "accept", worker: w1, lease: mine.lease, samples: 64 });
  expect(codes(table.answer(mine))).toEqual(["CONTRIBUTION_STALE"]);
  expect(table.answer(theirs)).toContainEqual({ type: "seal", ranges: [{ from: 0, to: 128 }] });
  expect(codes(table.answer(theirs))).toEqual(["CONTRIBUTION_STALE"]);
});

test("C2 a contribution of another number of samples is refused and its range leased again", () => {
  const table = new Table({ from: 0, to: 64 }, [w1]);
  const effects = table.event({ type: "contribution", worker: w1, lease: leaseId(1), samples: 32 });
  expect(codes(effects)).toEqual(["CONTRIBUTION_MISMATCH"]);
  expect(effects).toContainEqual(expect.objectContaining({ type: "requeue", cause: "refused", from: 0, to: 64 }));
  expect(table.event({ type: "worker-ready", worker: w1 })).toMatchObject([{ type: "grant", from: 0, to: 64 }]);
});

test("C3 a run has diverged when every worker reports, again and again, that its gradient is not finite", () => {
  const table = new Table({ from: 0, to: 32 }, [w1]);
  for (let report = 1; report <= DIVERGED_REPORTS; report++) {
    const [grant] = table.grants();
    const effects = table.event({ type: "lease-returned", worker: w1, lease: grant.lease, notFinite: true });
    expect(effects.some(({ type }) => type === "diverged")).toBe(report === DIVERGED_REPORTS);
    table.event({ type: "worker-ready", worker: w1 });
  }
  const two = new Table({ from: 0, to: 64 }, [w1, w2]);
  for (let report = 1; report <= DIVERGED_REPORTS; report++) {
    const live = [...two.state.leases.values()].find(({ worker }) => worker === w1);
    const event = { type: "lease-returned", worker: w1, lease: live?.lease ?? leaseId(0), notFinite: true } as const;
    expect(two.event(event).some(({ type }) => type === "diverged")).toBe(false);
    two.event({ type: "worker-ready", worker: w1 });
  }
});

test("L5 the reason says what the round waits for", () => {
  const table = new Table({ from: 0, to: 128 });
  expect(table.reason).toBe("waiting for workers: nobody has joined");
  table.event({ type: "worker-joined", worker: w1 });
  expect(table.reason).toBe("0/4 microbatches, 0/128 samples, waiting for workers: 1 joined, none is ready");
  const pair = new Table({ from: 0, to: 128 }, [w1, w2]);
  const [mine] = pair.grants();
  pair.now = 600;
  pair.answer(mine);
  expect(pair.reason).toBe("2/4 microbatches, 64/128 samples, waiting for w2 (1 s)");
});

test("L6 what workers asked between two rounds is answered when the next one opens", () => {
  const table = new Table({ from: 0, to: 32 }, [w1]);
  const [grant] = table.grants();
  expect(table.answer(grant).at(-1)?.type).toBe("seal");
  expect(table.event({ type: "worker-ready", worker: w1 })).toEqual([{ type: "wait", worker: w1 }]);
  table.event({ type: "applied" });
  table.event({ type: "committed" });
  expect(table.state.phase).toBe("committed");
  const next = openRound(
    5,
    { round: 2, range: { from: 32, to: 64 }, options, speeds: table.state.speeds },
    table.state,
  );
  expect(next.effects).toMatchObject([{ type: "grant", worker: w1, lease: 2, from: 32, to: 64 }]);
});

/** An action of a random history: who, what, and how long after the one before. */
const anyAction = fc.record({
  worker: fc.integer({ min: 1, max: 4 }).map((n) => workerId(`w${n}`)),
  what: fc.constantFrom(
    "join",
    "ready",
    "ready",
    "answer",
    "answer",
    "wrong",
    "old",
    "return",
    "pause",
    "leave",
    "tick",
  ),
  after: fc.integer({ min: 0, max: 400 }),
});

test("L7 no history commits a sample twice or loses one", () => {
  const shape = fc.record({
    from: fc.nat(4),
    samples: fc.integer({ min: 1, max: 400 }),
    max: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(shape, fc.array(anyAction, { maxLength: 80 }), ({ from, samples, max }, actions) => {
      const range = { from: from * 32, to: from * 32 + samples };
      const table = new Table(range);
      const limited = { ...options, maxMicrobatches: max };
      table.take(openRound(0, { round: 1, range, options: limited, speeds: new Map() }, beforeRounds()));
      const given: Grant[] = [];
      const accepted: Range[] = [];
      let seals = 0;
      const note = () => {
        for (const effect of table.effects) {
          if (effect.type === "grant") given.push(effect);
          if (effect.type === "seal") seals++;
          if (effect.type === "accept") accepted.push(given.find(({ lease }) => lease === effect.lease)!);
        }
        const live = [...table.state.leases.values()];
        // Throws where two overlap: what is answered, leased and free makes up the round, each sample once.
        const whole = intervalSet([...accepted, ...live, ...table.state.unleased]);
        expect(whole.ranges).toEqual([range]);
        expect(new Set(live.map(({ worker }) => worker)).size).toBe(live.length);
        for (const lease of given) expect((lease.from - range.from) % 32).toBe(0);
      };
      const run = (event: RoundEvent) => {
        table.event(event);
        note();
      };
      const play = (worker: WorkerId, what: string) => {
        const live = [...table.state.leases.values()].find((lease) => lease.worker === worker);
        const old = given.find((lease) => lease.worker === worker && lease.lease !== live?.lease);
        switch (what) {
          case "join":
            return run({ type: "worker-joined", worker: workerId(`${worker}-${given.length}`) });
          case "ready":
            return run({ type: "worker-ready", worker });
          case "answer":
            return live && run({ type: "contribution", worker, lease: live.lease, samples: live.to - live.from });
          case "wrong":
            return live && run({ type: "contribution", worker, lease: live.lease, samples: live.to - live.from + 1 });
          case "old":
            return old && run({ type: "contribution", worker, lease: old.lease, samples: old.to - old.from });
          case "return":
            return live && run({ type: "lease-returned", worker, lease: live.lease, notFinite: false });
          case "pause":
            return run({ type: "worker-paused", worker });
          case "leave":
            return run({ type: "worker-left", worker });
          default:
            return run({ type: "tick" });
        }
      };
      for (const { worker, what, after } of actions) {
        table.now += after;
        play(worker, what);
      }
      // However it went, one diligent worker ends it.
      const last = workerId("last");
      table.now += 10_000;
      run({ type: "tick" });
      for (let turns = 0; table.state.phase !== "sealed"; turns++) {
        expect(turns).toBeLessThan(100);
        run({ type: "worker-ready", worker: last });
        for (const lease of [...table.state.leases.values()]) {
          run({ type: "contribution", worker: lease.worker, lease: lease.lease, samples: lease.to - lease.from });
        }
      }
      expect(seals).toBe(1);
      expect(intervalSet(accepted).ranges).toEqual([range]);
    }),
    { numRuns: 300 },
  );
});

// Rule L7 of SPEC.md as a model test: rounds and ledger through a whole pass, whatever workers do in whatever order.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Lease } from "../../../coordinator/round/lease.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import type { RoundEvent } from "../../../coordinator/round/state.ts";
import { type WorkerId, workerId } from "../../../shared/base/ids.ts";
import { intervalSet, type Range } from "../../../shared/base/intervals.ts";
import { type Pass, placeOf } from "../../../shared/run/program.ts";
import { RoundTable } from "../../fixtures/round-table.ts";

const MICROBATCH = 32;
const workers = [1, 2, 3, 4].map((n) => workerId(`w${n}`));

/** An action of a random history: who, what, and how long after the one before. */
const anyAction = fc.record({
  worker: fc.constantFrom(...workers),
  what: fc.constantFrom(
    "join",
    "ready",
    "ready",
    "ahead",
    "answer",
    "answer",
    "answer",
    "receive",
    "wrong",
    "old",
    "return",
    "pause",
    "leave",
    "suspend",
    "resume",
    "audit",
    "withdraw",
    "tick",
  ),
  after: fc.integer({ min: 0, max: 400 }),
});

const anyPass = fc.record({
  samples: fc.integer({ min: 1, max: 1000 }),
  batch: fc.integer({ min: 1, max: 8 }).map((n) => n * MICROBATCH),
  most: fc.integer({ min: 1, max: 5 }),
  seal: fc.constantFrom("complete" as const, "deadline" as const),
  shareLimit: fc.constantFrom(1, 0.3),
});

type Shape = typeof anyPass extends fc.Arbitrary<infer T> ? T : never;

/** One pass from its first step to its last. */
class PassRun {
  readonly table = new RoundTable([]);
  readonly ledger = new Ledger();
  readonly pass: Pass;
  readonly #shape: Shape;
  step = 0;
  given: Lease[] = [];
  #wanted: readonly Range[] = [];
  /** Samples in the sum of this round. */
  accepted: Lease[] = [];
  carriedOnce = false;

  constructor(shape: Shape) {
    const steps = Math.ceil(shape.samples / shape.batch);
    const common = { phase: "student", network: "student", weights: {}, evaluate: false } as const;
    this.pass = { ...common, index: 0, epoch: 0, samples: shape.samples, firstStep: 0, steps };
    this.#shape = shape;
    this.#begin();
  }

  get over(): boolean {
    return this.step === this.pass.steps;
  }

  get place() {
    return placeOf({ passes: [this.pass], steps: this.pass.steps }, this.step, this.#shape.batch);
  }

  #begin(): void {
    const { place } = this;
    const { most, seal, shareLimit } = this.#shape;
    const carried = this.ledger.carried(place);
    if (carried.length > 0) this.carriedOnce = true;
    this.#wanted = [...carried, { from: place.from, to: place.to }];
    this.given = [];
    this.accepted = [];
    this.table.open(this.#wanted, {
      microbatch: MICROBATCH,
      maxMicrobatches: most,
      deadlineMs: 500,
      seal: place.last ? "complete" : seal,
      shareLimit,
    });
    this.#follow();
  }

  event(event: RoundEvent): void {
    if (this.over) return;
    this.table.event(event);
    this.#follow();
  }

  /** Keeps the books of the effects as the driver does, and looks whether the round still adds up. */
  #follow(): void {
    const { table } = this;
    let sealed: readonly Range[] | undefined;
    for (const effect of table.effects) {
      if (effect.type === "grant") this.given.push(effect.lease);
      if (effect.type === "accept" && "twin" in effect.lease) this.accepted.push(effect.lease);
      if (effect.type === "seal") sealed = effect.ranges;
    }
    if (sealed) this.#commit(sealed);
    else this.#addUp();
  }

  #addUp(): void {
    const { table } = this;
    const live = [...table.state.leases.values()];
    // Of two that share a range, one counts; what is answered, leased and free makes up the round, each sample once.
    const work = live.filter((lease) => "twin" in lease && (lease.twin === null || lease.lease < lease.twin));
    expect(intervalSet([...this.accepted, ...work, ...table.state.unleased]).ranges).toEqual(
      intervalSet(this.#wanted).ranges,
    );
    for (const lease of live) {
      expect(lease.from % MICROBATCH).toBe(0);
      if ("twin" in lease && lease.twin !== null) {
        expect(table.state.leases.get(lease.twin)).toMatchObject({ twin: lease.lease, from: lease.from, to: lease.to });
      }
    }
    for (const [worker, { leases }] of table.state.roster.members) {
      expect(leases.length).toBeLessThanOrEqual(2);
      for (const lease of leases) expect(table.state.leases.get(lease)?.worker).toBe(worker);
    }
  }

  #commit(ranges: readonly Range[]): void {
    expect(intervalSet(this.accepted).ranges).toEqual(ranges);
    expect(this.table.state.leases.size).toBe(0);
    const { batch, seal } = this.#shape;
    this.ledger.commitStep(
      this.place,
      ranges.map(({ from, to }) => [from, to]),
      batch,
      seal,
    );
    this.step++;
    this.table.event({ type: "applied" });
    this.table.event({ type: "committed" });
    if (!this.over) this.#begin();
  }

  play(worker: WorkerId, what: string): void {
    const event = this.#eventOf(worker, what);
    if (event) this.event(event);
  }

  /** Nothing where there is nothing that the action could be about. */
  #eventOf(worker: WorkerId, what: string): RoundEvent | undefined {
    const held = [...this.table.state.leases.values()].filter((lease) => lease.worker === worker);
    const live = held[0];
    const old = this.given.find(
      (lease) => lease.worker === worker && !held.some(({ lease: id }) => id === lease.lease),
    );
    const samples = live ? live.to - live.from : 0;
    switch (what) {
      case "join":
        return { type: "worker-joined", worker: workerId(`${worker}-${this.given.length}`) };
      case "ready":
        return { type: "worker-ready", worker };
      case "ahead":
        return { type: "worker-ready", worker, ahead: true };
      case "answer":
        return live && { type: "contribution", worker, lease: live.lease, samples };
      case "receive":
        return live && { type: "contribution-received", worker, lease: live.lease };
      case "wrong":
        return live && { type: "contribution", worker, lease: live.lease, samples: samples + 1 };
      case "old":
        return old && { type: "contribution", worker, lease: old.lease, samples: old.to - old.from };
      case "return":
        return live && { type: "lease-returned", worker, lease: live.lease, notFinite: false };
      case "pause":
        return { type: "worker-paused", worker };
      case "leave":
        return { type: "worker-left", worker };
      case "suspend":
        return { type: "worker-suspended", worker };
      case "resume":
        return { type: "worker-resumed", worker };
      case "audit": {
        const [lease] = this.given;
        if (!lease) return undefined;
        const copy = {
          purpose: "audit",
          of: lease.lease,
          from: lease.from,
          to: lease.to,
          answered: [lease.account],
          distrusted: new Set<string>(),
          draw: lease.lease,
        } as const;
        return { type: "copy-wanted", copy };
      }
      case "withdraw": {
        const lease = this.accepted.at(-1);
        if (!lease) return undefined;
        this.accepted.pop();
        return { type: "contribution-withdrawn", account: lease.account, from: lease.from, to: lease.to };
      }
      default:
        return { type: "tick" };
    }
  }

  /** However it went: the checks end, the others leave or expire, and one diligent worker is left. */
  finish(): void {
    const last = workerId("last");
    for (let turns = 0; !this.over; turns++) {
      expect(turns).toBeLessThan(500);
      for (const { worker, lease, from, to } of [...this.table.state.leases.values()]) {
        this.event({ type: "contribution", worker, lease, samples: to - from });
      }
      this.table.now += 300;
      this.event({ type: "tick" });
      this.event({ type: "worker-ready", worker: last });
    }
  }
}

test("L7 no history commits a sample of a pass twice or loses one", () => {
  let carried = 0;
  let backups = 0;
  fc.assert(
    fc.property(anyPass, fc.array(anyAction, { maxLength: 150 }), (shape, actions) => {
      const run = new PassRun(shape);
      for (const { worker, what, after } of actions) {
        run.table.now += after;
        run.play(worker, what);
        backups += run.given.filter(({ purpose }) => purpose === "backup").length;
      }
      run.finish();
      expect(run.ledger.committed(run.pass).ranges).toEqual([{ from: 0, to: shape.samples }]);
      if (run.carriedOnce) carried++;
    }),
    { numRuns: 400 },
  );
  // The histories are about something.
  expect(carried).toBeGreaterThan(10);
  expect(backups).toBeGreaterThan(10);
});

// A job's leases over time, on a clock that the test moves.

import { expect, test } from "vitest";
import {
  FilmJob,
  type FilmOutcome,
  type FilmWorker,
  type PreparedFilm,
} from "../../../coordinator/tracking/film-job.ts";
import { SILENT_MS } from "../../../coordinator/tracking/film-state.ts";
import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { TrackedFrame } from "../../../shared/wire/tracking.ts";

/** Moves by hand: what is due by then is called. */
function handClock() {
  let now = 0;
  const every: { readonly ms: number; readonly call: () => void; next: number }[] = [];
  const clock: Clock = {
    now: () => now,
    after: () => () => undefined,
    every: (ms, call) => {
      const one = { ms, call, next: now + ms };
      every.push(one);
      return () => void every.splice(every.indexOf(one), 1);
    },
  };
  const move = (ms: number) => {
    const end = now + ms;
    for (;;) {
      const due = [...every].sort((a, b) => a.next - b.next)[0];
      if (!due || due.next > end) break;
      now = due.next;
      due.next += due.ms;
      due.call();
    }
    now = end;
  };
  return { clock, move };
}

const box = { x: 10, y: 10, w: 20, h: 20 };
const frames = (n: number): readonly TrackedFrame[] => Array.from({ length: n }, () => ({ box, seconds: 0.1 }));
const prepared: PreparedFilm = { sequence: "A", base: 1, box, frames: new Uint8Array(96) };

/** A connected worker that writes down what it is told. */
function member(name: string, own = false) {
  const told: string[] = [];
  const worker: FilmWorker = {
    worker: name,
    account: `account of ${name}`,
    own,
    lend: (lease) => void told.push(`lend ${lease}`),
    accepted: (lease) => void told.push(`accepted ${lease}`),
    rejected: (lease) => void told.push(`rejected ${lease}`),
    cancelled: (lease, reason) => void told.push(`${reason} ${lease}`),
    dismiss: ({ code }) => void told.push(code),
  };
  return { worker, told };
}

function job(films = 1, auditShare = 0, prepare = async () => prepared) {
  const { clock, move } = handClock();
  const outcomes: FilmOutcome[] = [];
  const made = new FilmJob({
    films: Array.from({ length: films }, (_, i) => ({ name: `film ${i}`, frames: 3, prepare })),
    clock,
    auditShare,
    draw: () => 0.5,
    onOutcome: async (outcome) => void outcomes.push(outcome),
    onEvent: () => undefined,
  });
  return { job: made, move, outcomes };
}

/** What was begun has come to its end: promises alone are waited for. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("A75 a worker that says no box of its film for two minutes loses it to who is free; one that says some keeps it", async () => {
  const { job: films, move, outcomes } = job(2);
  const [slow, silent, free] = [member("slow"), member("silent"), member("free")];
  for (const { worker } of [slow, silent, free]) films.join(worker);
  films.ready(slow.worker);
  films.ready(silent.worker);
  films.ready(free.worker);
  await settled();
  expect([slow.told, silent.told, free.told]).toEqual([["lend 1"], ["lend 2"], []]);
  move(SILENT_MS - 10_000);
  films.tracked(slow.worker, 1, 0, frames(1));
  move(20_000);
  await settled();
  expect([slow.told, silent.told, free.told]).toEqual([["lend 1"], ["lend 2", "expired 2"], ["lend 3"]]);
  // What comes too late is nobody's any more.
  films.tracked(silent.worker, 2, 0, frames(3));
  films.tracked(slow.worker, 1, 1, frames(2));
  films.tracked(free.worker, 3, 0, frames(3));
  await films.done;
  expect(outcomes.map(({ worker, film }) => [film, worker])).toEqual([
    ["film 0", "slow"],
    ["film 1", "free"],
  ]);
  films.stop();
});

test("an audited film whose second account goes away counts unchecked, once nobody else is there", async () => {
  const { job: films, outcomes } = job(1, 1);
  const [first, second] = [member("first"), member("second")];
  for (const { worker } of [first, second]) films.join(worker);
  films.ready(first.worker);
  films.ready(second.worker);
  await settled();
  films.tracked(first.worker, 1, 0, frames(3));
  await settled();
  expect(outcomes).toEqual([]);
  films.leave(second.worker);
  await films.done;
  expect(outcomes).toMatchObject([{ worker: "first", checked: false }]);
});

test("a film whose files cannot be read is given up, and its worker is lent the next", async () => {
  let first = true;
  const { job: films, outcomes } = job(2, 0, async () => {
    if (!first) return prepared;
    first = false;
    throw new BitswarmError("DATA_INVALID", "frame 3 is damaged");
  });
  const { worker, told } = member("w1", true);
  films.join(worker);
  films.ready(worker);
  await settled();
  expect(told).toEqual(["lend 2"]);
  films.tracked(worker, 2, 0, frames(3));
  await films.done;
  expect(outcomes.map(({ film }) => film)).toEqual(["film 1"]);
  expect(films.progress.failed).toEqual([{ film: "film 0", message: "error DATA_INVALID: frame 3 is damaged" }]);
});

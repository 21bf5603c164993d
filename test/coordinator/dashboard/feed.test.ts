// Rules of the feed's limits, on a clock that the test moves.

import { expect, test } from "vitest";
import {
  BEAT_EVERY_MS,
  Feed,
  type FeedSource,
  GONE_AFTER_MS,
  LOOK_AT_LEAST_EVERY_MS,
  LOOK_EVERY_MS,
  MOST_VIEWERS,
  MOST_WAITING_BYTES,
  pause,
  type Viewer,
} from "../../../coordinator/dashboard/feed.ts";
import {
  type FeedMessage,
  MOST_EVENTS,
  TIMELINE_CELLS,
  workerStates,
} from "../../../coordinator/dashboard/feed-message.ts";
import type { RunWatch, WorkerWatch } from "../../../coordinator/engine/run-watch.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { scriptedStatus } from "../../worker/session/scripted-run.ts";

const adapter = { vendor: "v", architecture: "a", description: "d", software: false };

function watched(worker: string, samples: number): WorkerWatch {
  const facts = { worker: workerId(worker), account: "ab".repeat(32), name: worker, runtime: "deno", adapter } as const;
  const doing = { own: false, activity: "computing", overdue: false, draining: false, samplesPerSecond: 3 } as const;
  return { ...facts, ...doing, leases: 1, held: 16, samples, audits: null };
}

/** A feed whose run the test changes, and whose time it moves. */
function stage() {
  let now = 0;
  let looks = 0;
  let tookMs = 0;
  let workers: readonly WorkerWatch[] = [];
  const due: { at: number; call: () => void }[] = [];
  const pass = { title: "student", samples: 100, committed: [{ from: 0, to: 50 }], collected: [], leased: [] };
  const source: FeedSource = {
    status: () => scriptedStatus(),
    watch: (): RunWatch => {
      looks++;
      now += tookMs;
      return { paused: "no", checkpointStep: null, checkpointWanted: false, pass, workers };
    },
    vitals: () => [],
    command: async () => "done",
  };
  const clock = {
    now: () => now,
    after: (ms: number, call: () => void) => {
      const entry = { at: now + ms, call };
      due.push(entry);
      return () => void due.splice(due.indexOf(entry), 1);
    },
    every: () => () => {},
  };
  const feed = new Feed({ source, clock, time: () => now });
  return {
    feed,
    looks: () => looks,
    has: (next: readonly WorkerWatch[]) => {
      workers = next;
    },
    takes: (ms: number) => {
      tookMs = ms;
    },
    /** Lets time pass. */
    pass: (ms: number) => {
      const end = now + ms;
      for (let next = due[0]; next && next.at <= end; next = due[0]) {
        due.shift();
        now = Math.max(now, next.at);
        next.call();
      }
      now = Math.max(now, end);
    },
  };
}

class Recorder implements Viewer {
  readonly bytes: Uint8Array[] = [];
  waitingBytes = 0;
  dropped = false;

  send(bytes: Uint8Array): void {
    this.bytes.push(bytes);
  }

  drop(): void {
    this.dropped = true;
  }

  get messages(): FeedMessage[] {
    return this.bytes.map((one) => JSON.parse(Buffer.from(one).toString()));
  }

  get types(): string[] {
    return this.messages.map(({ type }) => type);
  }
}

test("O4 the run is looked at once a second while somebody looks on, and not before or after", () => {
  const { feed, looks, pass } = stage();
  pass(60_000);
  expect(looks()).toBe(0);
  const viewer = new Recorder();
  feed.join(viewer);
  pass(5 * LOOK_EVERY_MS);
  expect(looks()).toBe(6);
  feed.leave(viewer);
  pass(60_000);
  expect(looks()).toBe(6);
});

test("O17 what workers do is taken down every five seconds whoever looks on, five minutes of it, and told to who comes", () => {
  const { feed, has, looks, pass, takes } = stage();
  const tick = (times: number) => {
    for (let i = 0; i < times; i++) {
      feed.note();
      pass(1000);
    }
  };
  has([watched("w1", 0), watched("gone", 0)]);
  tick(10);
  expect(looks()).toBe(2);
  has([{ ...watched("w1", 0), activity: "waiting" }, watched("w2", 0)]);
  tick(600);
  // Looks that take long are paced.
  takes(200);
  feed.note();
  const seen = looks();
  takes(0);
  tick(14);
  expect(looks()).toBe(seen);
  const viewer = new Recorder();
  feed.join(viewer);
  const [whole] = viewer.messages;
  const past = new Map(whole.type === "whole" ? whole.past.map(([worker, , digits]) => [worker, digits]) : []);
  const [waiting, computing] = [workerStates.indexOf("waiting"), workerStates.indexOf("computing")].map(String);
  expect([...past]).toEqual([
    ["w1", waiting.repeat(TIMELINE_CELLS)],
    ["w2", computing.repeat(TIMELINE_CELLS)],
  ]);
});

test("O5 what changed is encoded once for everybody: a worker's line for one that did something, and no more", () => {
  const { feed, has, pass } = stage();
  has([watched("w1", 0), watched("w2", 0)]);
  const [one, two] = [new Recorder(), new Recorder()];
  feed.join(one);
  feed.join(two);
  has([watched("w1", 16), watched("w2", 0)]);
  pass(LOOK_EVERY_MS);
  expect(one.types).toEqual(["whole", "change"]);
  expect(one.bytes[1]).toBe(two.bytes[1]);
  expect(one.messages[1]).toEqual({
    type: "change",
    at: LOOK_EVERY_MS,
    rows: [["w1", 2, 0, 3, 16, 16, null, null, 0, 0, 0]],
  });
});

test("O6 the run is looked at once a second at most, and less often where a look takes more than a hundredth of that", () => {
  expect(pause(0)).toBe(LOOK_EVERY_MS);
  expect(pause(10)).toBe(LOOK_EVERY_MS);
  expect(pause(40)).toBe(4000);
  expect(pause(60_000)).toBe(LOOK_AT_LEAST_EVERY_MS);
  const { feed, looks, takes, pass } = stage();
  feed.join(new Recorder());
  takes(40);
  pass(LOOK_EVERY_MS);
  pass(4000 - 1);
  expect(looks()).toBe(2);
  pass(1 + 40);
  expect(looks()).toBe(3);
});

test("O7 who reads too slowly misses changes and gets the whole later; who reads nothing for a minute is cut", () => {
  const { feed, has, pass } = stage();
  const [slow, quick] = [new Recorder(), new Recorder()];
  feed.join(slow);
  feed.join(quick);
  slow.waitingBytes = MOST_WAITING_BYTES + 1;
  has([watched("w1", 0)]);
  pass(LOOK_EVERY_MS);
  slow.waitingBytes = 0;
  has([watched("w1", 16)]);
  pass(LOOK_EVERY_MS);
  expect(slow.types).toEqual(["whole", "whole"]);
  expect(quick.types).toEqual(["whole", "change", "change"]);
  expect(slow.messages[1]).toMatchObject({ rows: [["w1", 2, 0, 3, 16, 16, null, null, 0, 0, 0]] });
  slow.waitingBytes = 1;
  pass(GONE_AFTER_MS + LOOK_EVERY_MS);
  expect([slow.dropped, quick.dropped, feed.viewers]).toEqual([true, false, 1]);
});

test("O8 so many look on at most, and one more is told RATE_LIMITED", () => {
  const { feed } = stage();
  for (let i = 0; i < MOST_VIEWERS; i++) feed.join(new Recorder());
  expect(() => feed.join(new Recorder())).toThrowError(expect.objectContaining({ code: "RATE_LIMITED" }));
});

test("O15 where nothing changes there is a word every ten seconds, and the log of a whole is bounded", () => {
  const { feed, pass } = stage();
  for (let i = 0; i < 5 * MOST_EVENTS; i++) feed.event({ type: "notice", message: `line ${i}` });
  const viewer = new Recorder();
  feed.join(viewer);
  const [whole] = viewer.messages;
  expect(whole.type === "whole" && whole.events.map(({ text }) => text).at(-1)).toBe(`line ${5 * MOST_EVENTS - 1}`);
  expect(whole.type === "whole" && whole.events.length).toBe(MOST_EVENTS);
  pass(BEAT_EVERY_MS * 3);
  expect(viewer.messages.slice(1).every((one) => Object.keys(one).length === 2)).toBe(true);
  expect(viewer.types.length).toBeGreaterThanOrEqual(3);
  expect(viewer.types.length).toBeLessThanOrEqual(5);
});

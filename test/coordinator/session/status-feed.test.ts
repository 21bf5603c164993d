// A status reaches everybody in turn, some at a time.

import { expect, test } from "vitest";
import { STATUSES_AT_MOST, STATUSES_AT_ONCE, StatusFeed } from "../../../coordinator/session/status-feed.ts";

/** Receivers that count, and a clock whose next timer the test rings. */
function feedOf(count: number) {
  const received = new Map(Array.from({ length: count }, (_, i) => [i, 0]));
  const receivers = new Set(
    [...received.keys()].map((i) => ({ sendStatus: () => void received.set(i, (received.get(i) ?? 0) + 1) })),
  );
  let timer: (() => void) | undefined;
  const feed = new StatusFeed(
    {
      after: (_, call) => {
        timer = call;
        return () => {
          timer = undefined;
        };
      },
    },
    receivers,
  );
  const ring = () => {
    const call = timer;
    timer = undefined;
    call?.();
    return call !== undefined;
  };
  const total = () => [...received.values()].reduce((sum, times) => sum + times, 0);
  return { feed, receivers, received, ring, total };
}
const bytes = new Uint8Array(1);

test("few get each status at once", () => {
  const { feed, received, ring } = feedOf(3);
  feed.broadcast(bytes);
  feed.broadcast(bytes);
  expect([...received.values()]).toEqual([2, 2, 2]);
  expect(ring()).toBe(false);
});

test("many get it some at a time, at most so many of each status, and everybody in turn", () => {
  const { feed, received, ring, total } = feedOf(2 * STATUSES_AT_MOST);
  for (let status = 1; status <= 2; status++) {
    let before = total();
    feed.broadcast(bytes);
    do {
      expect(total() - before).toBeLessThanOrEqual(STATUSES_AT_ONCE);
      before = total();
    } while (ring());
    expect(total()).toBe(status * STATUSES_AT_MOST);
  }
  expect(new Set(received.values())).toEqual(new Set([1]));
});

test("a newer status takes the place of one that is not sent to all yet; who has left gets none", () => {
  const { feed, receivers, received, ring, total } = feedOf(2 * STATUSES_AT_ONCE);
  feed.broadcast(bytes);
  feed.broadcast(bytes);
  while (ring());
  expect(total()).toBe(3 * STATUSES_AT_ONCE);
  const [first] = receivers;
  receivers.delete(first);
  const before = received.get(0);
  feed.broadcast(bytes);
  while (ring());
  expect(received.get(0)).toBe(before);
  receivers.clear();
  feed.broadcast(bytes);
  expect(ring()).toBe(false);
});

import { expect, test } from "vitest";
import { firstBeat, nextBeat } from "../../../coordinator/session/heartbeat.ts";

const limits = { heartbeatMs: 10, missedPings: 3, transferStallMs: 30 };

test("silence is HEARTBEAT_LOST at the third ping that nothing answers, and a byte starts the count again", () => {
  let beat = firstBeat(0, { receivedBytes: 5, messageAt: 0 });
  for (const [at, receivedBytes, missed] of [
    [10, 5, 1],
    [20, 5, 2],
    [30, 6, 0],
    [40, 6, 1],
    [50, 6, 2],
  ]) {
    beat = nextBeat(at, beat, { receivedBytes, messageAt: at === 30 ? 30 : 0 }, limits);
    expect(beat.missed).toBe(missed);
  }
  expect(() => nextBeat(60, beat, { receivedBytes: 6, messageAt: 30 }, limits)).toThrow("not a byte came");
});

test("bytes without a whole message are a sign of life for as long as a transfer may stand still", () => {
  let beat = firstBeat(0, { receivedBytes: 0, messageAt: 0 });
  beat = nextBeat(10, beat, { receivedBytes: 1, messageAt: 0 }, limits);
  beat = nextBeat(29, beat, { receivedBytes: 2, messageAt: 0 }, limits);
  expect(() => nextBeat(30, beat, { receivedBytes: 3, messageAt: 0 }, limits)).toThrow(
    "no message has come to its end",
  );
});

test("a pong a heartbeat ago is enough where heartbeats are further apart than a transfer may stand still", () => {
  const slow = { ...limits, heartbeatMs: 60 };
  const beat = firstBeat(0, { receivedBytes: 0, messageAt: 0 });
  expect(nextBeat(60, beat, { receivedBytes: 9, messageAt: 1 }, slow)).toMatchObject({ missed: 0 });
});

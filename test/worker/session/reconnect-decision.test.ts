// When a lost connection is tried again, and when not: the pure decision, rule by rule.
import fc from "fast-check";
import { expect, test } from "vitest";
import { BitswarmError, type ErrorCode } from "../../../shared/base/errors.ts";
import { backoffMs } from "../../../worker/backoff.ts";
import {
  decideReconnect,
  type EndedConnection,
  type ReconnectHistory,
} from "../../../worker/session/reconnect-decision.ts";
import { sessionLimits } from "../../../worker/session/session-limits.ts";

const fresh: ReconnectHistory = { attempts: 0, faulty: 0, lastHeardMs: 0, reached: false };
const seen: ReconnectHistory = { ...fresh, reached: true };

function ended(code: ErrorCode, overrides: Partial<EndedConnection> & { retry?: boolean } = {}): EndedConnection {
  const { retry = true, ...rest } = overrides;
  const closing = { kind: "fault", error: new BitswarmError(code, "as it was"), retry } as const;
  return { closing, heard: false, useful: false, livedMs: 100, ...rest };
}

const decide = (now: number, history: ReconnectHistory, connection: EndedConnection, random = 0.5) =>
  decideReconnect(now, history, connection, sessionLimits, random);

test("waits lie between half a second and a ceiling that doubles to thirty seconds", () => {
  const range = sessionLimits.reconnect;
  expect([1, 2, 3, 20].map((attempt) => backoffMs(range, attempt, 0))).toEqual([500, 500, 500, 500]);
  expect([1, 2, 3, 20].map((attempt) => Math.round(backoffMs(range, attempt, 1 - 1e-9)))).toEqual([
    1000, 2000, 4000, 30_000,
  ]);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempt, random) => {
        const wait = backoffMs(range, attempt, random);
        expect(wait).toBeGreaterThanOrEqual(500);
        expect(wait).toBeLessThan(30_000);
      },
    ),
  );
});

test("a run that ended is the end, not a failure", () => {
  expect(decide(0, seen, ended("RUN_ENDED", { retry: false }))).toEqual({ kind: "run-over", message: "as it was" });
});

test("what the coordinator calls final is given up at once", () => {
  const decision = decide(0, seen, ended("TOO_MANY_WORKERS", { retry: false }));
  expect(decision).toMatchObject({ kind: "give-up", error: { code: "TOO_MANY_WORKERS" } });
});

test("J19 a certificate that is not trusted is given up at once, and looked at again where it once was", () => {
  const untrusted = ended("CERTIFICATE_INVALID");
  expect(decide(0, fresh, untrusted)).toMatchObject({ kind: "give-up", error: { code: "CERTIFICATE_INVALID" } });
  expect(decide(0, seen, untrusted)).toMatchObject({ kind: "retry" });
});

test("attempts count up over connections that came to nothing, and start again after a good one", () => {
  const first = decide(10, seen, ended("RUN_UNREACHABLE"));
  expect(first).toMatchObject({ kind: "retry", history: { attempts: 1 } });
  const tired = { ...seen, attempts: 9 };
  expect(decide(10, tired, ended("RUN_UNREACHABLE"))).toMatchObject({ history: { attempts: 10 } });
  expect(decide(10, tired, ended("RUN_UNREACHABLE", { useful: true }))).toMatchObject({ history: { attempts: 1 } });
  expect(decide(10, tired, ended("RUN_UNREACHABLE", { livedMs: 30_000 }))).toMatchObject({ history: { attempts: 1 } });
});

test("a coordinator that was never heard is given up after five attempts, one that was heard is not", () => {
  const connection = ended("RUN_UNREACHABLE");
  expect(decide(10, { ...fresh, attempts: 3 }, connection).kind).toBe("retry");
  expect(decide(10, { ...fresh, attempts: 4 }, connection)).toMatchObject({
    kind: "give-up",
    error: { code: "RUN_UNREACHABLE", message: expect.stringMatching(/5 attempts/) },
  });
  expect(decide(10, { ...seen, attempts: 4 }, connection).kind).toBe("retry");
});

test("a coordinator that is gone for half an hour is given up", () => {
  const history = { ...seen, lastHeardMs: 1000 };
  expect(decide(1000 + 29 * 60_000, history, ended("RUN_UNREACHABLE")).kind).toBe("retry");
  expect(decide(1000 + 30 * 60_000, history, ended("RUN_UNREACHABLE"))).toMatchObject({ kind: "give-up" });
  expect(decide(1000 + 30 * 60_000, history, ended("RUN_UNREACHABLE", { heard: true })).kind).toBe("retry");
});

test("three connections in a row with unreadable bytes are given up, by the code of the last", () => {
  const twice = { ...seen, faulty: 2 };
  expect(decide(0, twice, ended("FRAME_CORRUPT", { heard: true }))).toMatchObject({
    kind: "give-up",
    error: { code: "FRAME_CORRUPT" },
  });
  expect(decide(0, twice, ended("HEARTBEAT_LOST", { heard: true }))).toMatchObject({
    kind: "retry",
    history: { faulty: 0 },
  });
  expect(decide(0, twice, ended("FRAME_CORRUPT", { useful: true }))).toMatchObject({
    kind: "retry",
    history: { faulty: 1 },
  });
});

// Who left, and why, is one line in words; a run that everybody left does not say that nobody has joined.

import { expect, test } from "vitest";
import type { RunEvent } from "../../../coordinator/engine/run-event.ts";
import { eventLine } from "../../../coordinator/program/progress-text.ts";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import { closeInWords } from "../../../coordinator/session/close-words.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";

async function reasonOf({ url }: TestRun): Promise<string> {
  const status = await readStatus(url);
  return "reason" in status ? status.reason : status.state;
}

/** What the terminal shows of a run so far, of this worker. */
async function linesOf(started: TestRun, worker: string): Promise<readonly string[]> {
  const events = (await started.events()) as unknown as readonly RunEvent[];
  return events
    .map(eventLine)
    .filter((line) => line !== undefined && new RegExp(`\\b${worker}\\b`).test(line)) as string[];
}

test("before anybody came nobody has joined; after the last went everybody has left", async () => {
  const started = await startTestRun();
  expect(await reasonOf(started)).toBe("waiting for workers: nobody has joined");
  const worker = await started.connect().join();
  worker.send({ type: "leave" });
  await expect.poll(() => reasonOf(started)).toBe("waiting for workers: everybody has left");
});

test.each([
  ["a goodbye", (worker: Leaver) => worker.send({ type: "leave" }), /^w1 left$/],
  ["a closed tab", (worker: Leaver) => worker.socket.close(1001), /^w1 left: its tab or its program was closed$/],
])("%s with a lease in hand is one line", async (_, leave, line) => {
  const started = await startTestRun();
  const worker = await started.connect().join();
  await worker.lease();
  leave(worker);
  await expect.poll(() => reasonOf(started)).toBe("waiting for workers: everybody has left");
  await expect.poll(() => linesOf(started, "w1")).toHaveLength(2);
  const [joined, left] = await linesOf(started, "w1");
  expect(joined).toMatch(/^w1 joined: /);
  expect(left).toMatch(line);
});

type Leaver = Awaited<ReturnType<ReturnType<TestRun["connect"]>["join"]>>;

test("a lease that expired, which nothing else tells of, has its line", () => {
  const requeued = { type: "requeued", worker: workerId("w3"), ranges: [{ from: 0, to: 64 }] } as const;
  expect(eventLine({ ...requeued, cause: "expired" })).toBe("positions 0 to 64 of w3 are leased again (expired)");
  for (const cause of ["left", "returned", "refused"] as const)
    expect(eventLine({ ...requeued, cause })).toBeUndefined();
});

test("an error ends a session with its code, and numbers of the WebSocket are told in words", () => {
  const left = { type: "left", worker: workerId("w1") } as const;
  expect(eventLine({ ...left, code: "HEARTBEAT_LOST", message: "three pings were not answered" })).toBe(
    "w1 left (HEARTBEAT_LOST: three pings were not answered)",
  );
  expect(eventLine({ ...left, code: "GONE", message: closeInWords(1006) })).toBe(
    "w1 is gone: the connection broke off",
  );
  expect(closeInWords(4999)).toBe("the socket closed with code 4999");
});

// What is said of a run, to its workers and at /status.

import { expect, test } from "vitest";
import { engineStatus } from "../../../../coordinator/engine/local/engine-status.ts";
import { Ledger } from "../../../../coordinator/round/ledger.ts";
import { progressOf } from "../../../../coordinator/state/training-state.ts";
import { decodeCoordinatorMessage, encodeMessage } from "../../../../shared/wire/protocol.ts";
import { tinyState } from "../../../fixtures/tiny-run.ts";

const view: Parameters<typeof engineStatus>[0] = {
  run: "tiny",
  progress: progressOf(tinyState()),
  ledger: new Ledger(),
  rounds: { progress: { collected: 0, wanted: 4 }, working: true, workers: 1, reason: "1 worker computes" },
  target: 2,
  phase: "running",
  evaluating: undefined,
  pace: new Map(),
  loss: {},
  batchScore: undefined,
  bytes: undefined,
  loopDelay: null,
};

test("a run that is paused waits, whoever is there", () => {
  expect(engineStatus(view)).toMatchObject({ state: "training", reason: "1 worker computes" });
  expect(engineStatus({ ...view, paused: true })).toMatchObject({
    state: "waiting",
    reason: expect.stringContaining("paused"),
  });
});

test("H5 a part of the loss that has overflowed is left out of the status, which workers can read", () => {
  const status = engineStatus({
    ...view,
    loss: { total: Number.POSITIVE_INFINITY, kernel: Number.NaN, task: 0.5 },
    batchScore: Number.NaN,
  });
  const read = decodeCoordinatorMessage(encodeMessage({ type: "status", status }));
  expect(read).toMatchObject({ type: "status", status: { loss: { task: 0.5 }, batchScore: null } });
  expect(status.loss).toEqual({ task: 0.5 });
});

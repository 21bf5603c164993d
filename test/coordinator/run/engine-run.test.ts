import { access, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import type { EngineRun } from "../../../coordinator/engine/engine.ts";
import { engineRun } from "../../../coordinator/run/engine-run.ts";
import { progressOf } from "../../../coordinator/state/training-state.ts";
import { openTestRun } from "../../fixtures/test-run.ts";

test("what is written beside a run is on the disk before a checkpoint is, so that a resume finds it", async () => {
  const run = await openTestRun();
  const { directory, state, ledger } = run;
  const checkpoints = join(directory.path, "checkpoints");
  const found: unknown[] = [];
  const { writeCheckpoint } = engineRun(run, {} as EngineRun, async () => {
    found.push(
      await access(checkpoints)
        .then(() => readdir(checkpoints))
        .catch(() => "none yet"),
    );
  });
  const write = () => writeCheckpoint(encodeCheckpoint(state, directory.run), progressOf(state), ledger);
  await write();
  await write();
  expect(found).toEqual(["none yet", ["step-0"]]);
  await run.log.close();
  await run.claim.release();
});

// A run of any method resumes from a checkpoint to the bits of the run that went on: what its weights are made of is in
// the files, or follows from them.

import { expect, test } from "vitest";
import { readNewestCheckpoint, restoreState } from "../../../coordinator/checkpoint/checkpoint.ts";
import { decodeManifest, encodeManifest } from "../../../coordinator/checkpoint/checkpoint-manifest.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { parametersHash, wireBlob } from "../../../coordinator/state/training-state.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { everyMethod, tinyMethodConfig } from "../../fixtures/every-method.ts";
import { essence, stateAt, write } from "../../fixtures/tiny-checkpoint.ts";
import { advance, tinyDataset, tinyState, withFolder } from "../../fixtures/tiny-run.ts";

test("every method of the table is among those that these tests go over", () => {
  expect(new Set(everyMethod.map(([, { kind }]) => kind))).toEqual(new Set(methods.kinds));
});

test.each(everyMethod)("%s resumed where a phase begins, and a step later, ends with the same bits", (_title, method) =>
  withFolder(async (runDir) => {
    const config = tinyMethodConfig(method);
    const state = tinyState(config);
    const ledger = new Ledger();
    const { steps, passes } = state.program;
    const begins = passes.filter(({ phase }, at) => passes.findIndex((other) => other.phase === phase) === at);
    const stops = new Set(begins.flatMap(({ firstStep }) => [firstStep, firstStep + 1]));
    /** Checkpoints read back, which go on beside the run itself. */
    const resumed: { readonly state: typeof state; readonly ledger: Ledger }[] = [];
    while (state.step < steps) {
      for (const one of resumed) advance(one.state, one.ledger);
      advance(state, ledger);
      if (!stops.has(state.step) || state.step === steps) continue;
      await write(runDir, state, ledger);
      const checkpoint = await readNewestCheckpoint(runDir);
      const restored = restoreState(checkpoint, tinyDataset(config));
      expect(essence(restored)).toEqual(essence(state));
      expect(wireBlob(restored, "student").hash).toBe(wireBlob(state, "student").hash);
      resumed.push({ state: restored, ledger: checkpoint.ledger });
    }
    expect(resumed.length).toBeGreaterThan(0);
    for (const one of resumed) expect(essence(one.state)).toEqual(essence(state));
    const before = parametersHash(tinyState(config), "student");
    expect(parametersHash(state, "student")).not.toBe(before);
  }),
);

test("a checkpoint whose configuration knows of no objective and no tuning of norms is read as one that has them", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(3);
    await write(runDir, state, ledger);
    const checkpoint = await readNewestCheckpoint(runDir);
    const { objective: _, tuneNorms: _tuneNorms, ...older } = checkpoint.manifest.config;
    const manifest = decodeManifest(encodeManifest({ ...checkpoint.manifest, config: older as typeof state.config }));
    expect(manifest.config).toEqual(state.config);
    expect(essence(restoreState({ ...checkpoint, manifest }, tinyDataset(state.config)))).toEqual(essence(state));
  }));

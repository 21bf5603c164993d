// What a volunteer is told that it fetches is what the forms of the way down make: so many bits a weight, by method.

import { expect, test } from "vitest";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { createTrainingState, frozenNetwork, wireBlob } from "../../../coordinator/state/training-state.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { downlinkBytes } from "../../../shared/wire/downlink-bytes.ts";
import { parameterSets, wireForm } from "../../../shared/wire/parameter-set.ts";
import { decodeChange, encodeChange, encodeWhole } from "../../../shared/wire/parameter-update.ts";
import { everyMethod, type MethodSettings, tinyMethodConfig } from "../../fixtures/every-method.ts";
import { advance, tinyDataset } from "../../fixtures/tiny-run.ts";

const stateOf = (method: MethodSettings, overrides: Record<string, unknown> = {}) => {
  const config = tinyMethodConfig(method, { downlink: {}, ...overrides });
  return createTrainingState(config, tinyDataset(config));
};

test.each<[bits: number, method: MethodSettings]>([
  [1, { kind: "xnor" }],
  [1, { kind: "bnn" }],
  [1, { kind: "lab", activations: "sign" }],
  [1, { kind: "xnorpp" }],
  [2, { kind: "ttq" }],
  [3, { kind: "abc", weightBases: 3 }],
  [2, { kind: "dorefa", weightBits: 2 }],
  [4, { kind: "polino", bits: 4 }],
  [32, { kind: "inq" }],
  [32, { kind: "full" }],
])("a weight takes %d bits of %j", (bits, method) => {
  const { networks, config, program } = stateOf(method);
  const phase = phaseNamed(program, "evaluate-student");
  const told = downlinkBytes(networks, config, phase);
  expect(told.bitsPerWeight).toBe(bits);
  // With inner steps on workers real weights travel, whatever they are made to.
  const local = { ...config, sync: { ...config.sync, kind: "local" } } as typeof config;
  if (bits === 1) expect(downlinkBytes(networks, local, phase).bitsPerWeight).toBeGreaterThanOrEqual(32);
});

test.each(everyMethod)(
  "%s is fetched whole in the bytes that are told, and a change of it is the next version",
  (_, method) => {
    const state = stateOf(method);
    const { networks, config, program } = state;
    for (const phase of program.phases) {
      const sets = [phase.network, ...phase.partners];
      const whole = (set: string) => encodeWhole(wireForm(networks, config, set), wireBlob(state, set).bytes).length;
      const beside = phase.needs.reduce((sum, name) => sum + frozenNetwork(state, name).bytes.length, 0);
      const own = sets.reduce((sum, set) => sum + whole(set), 0);
      expect(downlinkBytes(networks, config, phase).wholeBytes).toBe(own + beside);
    }
    // Planes travel as flips, like other signs: each set of one step before and after.
    const before = new Map(parameterSets(networks).map((set) => [set, wireBlob(state, set).bytes.slice()]));
    const ledger = new Ledger();
    while (state.step < program.steps) advance(state, ledger);
    let changed = 0;
    for (const [set, base] of before) {
      const form = wireForm(networks, config, set);
      const { bytes } = wireBlob(state, set);
      expect(decodeChange(form, base, encodeChange(form, base, bytes))).toEqual(bytes);
      changed += Buffer.compare(base, bytes) === 0 ? 0 : 1;
    }
    expect(changed).toBeGreaterThan(0);
  },
);

// Rules D of SPEC.md: each version is encoded once, a change where that is enough, the whole to everybody else.
import { expect, test } from "vitest";
import { type TrainingState, wireBlob } from "../../../coordinator/state/training-state.ts";
import { applyRound } from "../../../coordinator/state/update.ts";
import { KEPT_CHANGES } from "../../../coordinator/training/downlink.ts";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { decodeFrame } from "../../../shared/wire/frame.ts";
import { readParameters } from "../../../shared/wire/parameter-frame.ts";
import { type ParameterSet, parameterSets, wireForm } from "../../../shared/wire/parameter-set.ts";
import { decodeChange, decodeWhole } from "../../../shared/wire/parameter-update.ts";
import { digest } from "../../../worker/platform/runtime-ports.ts";
import { ParameterStore } from "../../../worker/session/parameter-store.ts";
import { downlinkOf, planned } from "../../fixtures/planned.ts";
import { nextSum, tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const runTag = "0123456789abcdef".repeat(2);

function advance(state: TrainingState): void {
  applyRound(state, placeOf(state.program, state.step, state.config.batch), nextSum(state));
}

/** A state whose next step is the student's. */
function studentState(downlink: Record<string, unknown> = {}): TrainingState {
  const state = tinyState(tinyConfig({ epochs: 9, downlink }));
  while (state.program.passes.find((pass) => pass.network === "student")!.firstStep > state.step) advance(state);
  return state;
}

function read(frame: Uint8Array) {
  return readParameters(runTag, ["teacher", "student", "discriminators"], decodeFrame(frame, frame.length));
}

test("D3 a worker that holds the version before gets a change, the same bytes as everybody; a newcomer gets the whole", () => {
  const state = studentState();
  const downlink = downlinkOf(state, runTag);
  const form = wireForm(state.networks, state.config, "student");
  const before = wireBlob(state, "student");
  const first = downlink.update("student", before, 1);
  expect(downlink.frames(first, undefined).map(read)).toMatchObject([{ hash: before.hash, base: null }]);
  expect(downlink.frames(first, before.hash)).toEqual([]);
  advance(state);
  const after = wireBlob(state, "student");
  const second = downlink.update("student", after, 2);
  expect(downlink.update("student", after, 3)).toBe(second);
  const [frame, ...more] = downlink.frames(second, before.hash);
  expect(more).toEqual([]);
  expect(downlink.frames(second, before.hash)[0]).toBe(frame);
  const { base, hash, body } = read(frame);
  expect({ base, hash }).toEqual({ base: before.hash, hash: after.hash });
  const changed = decodeChange(form, before.bytes, body);
  expect(sha256Hex(changed)).toBe(after.hash);
  const [newcomers] = downlink.frames(second, "ff".repeat(32));
  expect(downlink.frames(second, undefined)[0]).toBe(newcomers);
  expect(decodeWhole(form, read(newcomers).body)).toEqual(changed);
});

test("D3 a worker that is some versions behind gets the changes one after another, one further behind the whole", () => {
  const state = studentState({ discriminators: "f32" });
  const downlink = downlinkOf(state, runTag);
  const hashes = [wireBlob(state, "student").hash];
  let update = downlink.update("student", wireBlob(state, "student"), 0);
  for (let step = 1; step <= KEPT_CHANGES + 1; step++) {
    const stepped = wireBlob(state, "student");
    const values = state.parameters.student.get("conv2.weight")!;
    values[step] = -values[step];
    state.blobs.clear();
    update = downlink.update("student", wireBlob(state, "student"), step);
    hashes.push(wireBlob(state, "student").hash);
    expect(hashes.at(-1)).not.toBe(stepped.hash);
  }
  const [oldest, ...kept] = hashes;
  for (const held of kept) {
    const path = downlink.frames(update, held).map(read);
    expect(path.map(({ base }) => base)).toEqual(kept.slice(kept.indexOf(held), -1));
  }
  expect(downlink.frames(update, oldest).map(read)).toMatchObject([{ base: null, hash: hashes.at(-1) }]);
});

test("frames of a version are let go with the next: what is kept are its changes, and the newest whole", () => {
  const state = studentState({ discriminators: "f32" });
  const downlink = downlinkOf(state, runTag);
  const versions = [downlink.update("student", wireBlob(state, "student"), 0)];
  for (let step = 1; step <= KEPT_CHANGES + 1; step++) {
    state.parameters.student.get("conv2.weight")![step] *= -1;
    state.blobs.clear();
    versions.push(downlink.update("student", wireBlob(state, "student"), step));
  }
  const there = (name: string) => downlink.frame(name) !== undefined;
  expect(versions.map(({ whole }) => there(whole.name))).toEqual(versions.map((_, i) => i === KEPT_CHANGES + 1));
  const changes = new Set(versions.flatMap((version) => version.changes.map(({ name }) => name)));
  expect([changes.size, [...changes].filter(there).length]).toEqual([KEPT_CHANGES + 1, KEPT_CHANGES]);
  expect(downlink.frame(versions.at(-1)!.whole.name)).toBe(downlink.frame(versions.at(-1)!.whole.name));
  expect(structuredClone(versions)).toEqual(versions);
});

test("D3 a change that is no smaller than the whole is not sent", () => {
  const state = studentState();
  const downlink = downlinkOf(state, runTag);
  const before = wireBlob(state, "student");
  downlink.update("student", before, 1);
  const noise = { bytes: before.bytes.map((byte, i) => byte ^ (i * 97)), hash: "ab".repeat(32) };
  const [frame] = downlink.frames(downlink.update("student", noise, 2), before.hash);
  expect(read(frame).base).toBeNull();
});

test("the teacher's bytes are let go with the first round of the student, also by sessions that remember them", async () => {
  const plans = planned(studentState());
  const [teacher] = (await plans.evaluation("teacher")).parameters;
  expect(plans.frames(teacher, undefined)).toHaveLength(1);
  await plans.evaluation("student");
  expect(plans.frames(teacher, undefined)).toEqual([]);
  expect(plans.frames((await plans.evaluation("teacher")).parameters[0], undefined)).toHaveLength(1);
});

test("D5 only the student's mini-batches name discriminators; a BN phase, an evaluation and the teacher do not", async () => {
  const state = studentState();
  const plans = planned(state);
  const seen = new Map<string, readonly ParameterSet[]>();
  for (const network of ["teacher", "student"] as const) {
    const { terms, parameters } = await plans.evaluation(network);
    expect(terms).toMatchObject({ partners: {}, frozen: {} });
    expect(parameters.map(({ set }) => set)).toEqual([network]);
  }
  while (seen.size < 2) {
    const { terms, parameters } = await plans.step();
    seen.set(
      terms.phase,
      parameters.map(({ set }) => set),
    );
    expect(terms.parametersHash).toBe(wireBlob(state, "student").hash);
    const { hash } = wireBlob(state, "discriminators");
    expect(terms.partners).toEqual(terms.phase === "bn" ? {} : { discriminators: hash });
    advance(state);
  }
  expect(Object.fromEntries(seen)).toEqual({ student: ["student", "discriminators"], bn: ["student"] });
});

test.each(["f32", "f16", "int8"] as const)(
  "D6 workers hold the discriminators of each step, sent as %s, near the true ones",
  async (discriminators) => {
    const state = studentState({ discriminators, tail: discriminators === "f32" ? "f32" : "f16" });
    const plans = planned(state, runTag);
    const store = new ParameterStore(
      new Map(parameterSets(state.networks).map((set) => [set, wireForm(state.networks, state.config, set)])),
      digest,
    );
    const bases: (boolean | undefined)[] = [];
    while (bases.length < 6) {
      const { terms, parameters } = await plans.step();
      for (const update of parameters) {
        for (const frame of plans.frames(update, store.holds[update.set])) {
          if (update.set === "discriminators") bases.push(read(frame).base !== null);
          expect(await store.receive(runTag, frame)).toBeUndefined();
        }
      }
      if (terms.partners.discriminators !== undefined) {
        const blob = await store.blob("discriminators", terms.partners.discriminators);
        let worst = 0;
        for (const { name, offset, bytes } of wireForm(
          state.networks,
          state.config,
          "discriminators",
        ).layout.tensors.values()) {
          const held = new Float32Array(blob.buffer, offset, bytes / 4);
          state.parameters.student.get(name)!.forEach((value, i) => {
            worst = Math.max(worst, Math.abs(held[i] - value));
          });
        }
        expect(worst).toBeLessThan({ f32: 1e-30, f16: 1e-3, int8: 1e-5 }[discriminators]);
      }
      advance(state);
    }
    expect(bases).toEqual([false, true, true, true, true, true]);
  },
);

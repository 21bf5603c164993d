// What a gateway fetches of a run's parameters, from a leader that steps: real versions of a small RBCN.

import { beforeEach, expect, test } from "vitest";
import type { BulkRequest } from "../../../coordinator/cluster/bulk.ts";
import { contentHash } from "../../../coordinator/disk/content-hash.ts";
import { FrameCache, type NamedBytes } from "../../../coordinator/gateway/frame-cache.ts";
import {
  createTrainingState,
  parametersChanged,
  partnersChanged,
  type TrainingState,
  wireBlob,
} from "../../../coordinator/state/training-state.ts";
import { framesTo, type ParameterVersion } from "../../../coordinator/training/parameter-version.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { setManifest } from "../../../shared/wire/parameter-set.ts";
import { downlinkOf } from "../../fixtures/planned.ts";
import { tinyDataset } from "../../fixtures/tiny-run.ts";

const RUN_TAG = "ab".repeat(16);
const SETS = ["student", "discriminators"] as const;

/** A leader that steps, and offers what its rounds name. */
class Leader {
  readonly state: TrainingState;
  readonly downlink: ReturnType<typeof downlinkOf>;
  #round = 0;

  constructor() {
    const config = parseConfig({ model: { kind: "lenet", widths: [4, 8, 32] }, data: { kind: "idx" } });
    this.state = createTrainingState(config, tinyDataset(config));
    this.downlink = downlinkOf(this.state, RUN_TAG);
  }

  step(): { readonly versions: readonly ParameterVersion[]; readonly frames: readonly NamedBytes[] } {
    this.#round++;
    const { state, downlink } = this;
    if (this.#round > 1) {
      for (const set of SETS) {
        for (const { name, role } of setManifest(state.networks, set).entries) {
          const values = parameter(state.parameters.student, name);
          // One in a thousand moves a little, or its sign.
          const by = role === "latent" ? -1 : 1.001;
          for (let i = this.#round; i < values.length; i += 1000) values[i] *= by;
        }
      }
      parametersChanged(state, "student");
      partnersChanged(state, ["discriminators"]);
    }
    const versions = SETS.map((set) => {
      return downlink.update(set, wireBlob(state, set), this.#round, state.replicaChanges.get(set));
    });
    const names = versions.flatMap(({ changes, whole }) => [...changes, whole].map(({ name }) => name));
    const frames = names.map((name) => {
      const bytes = this.frame(name);
      return { name, bytes: bytes.length, sha256: contentHash(bytes) };
    });
    return { versions, frames };
  }

  frame(name: string): Uint8Array<ArrayBuffer> {
    const bytes = this.downlink.frame(name);
    if (!bytes) throw new Error(`${name} is not there`);
    return bytes;
  }
}

let leader: Leader;
let fetched: string[];
let cache: FrameCache;
beforeEach(() => {
  leader = new Leader();
  ({ cache, fetched } = newCache());
});

function newCache(given = (name: string) => leader.frame(name)) {
  const names: string[] = [];
  const fetch = async ({ name }: BulkRequest) => {
    names.push(name);
    return given(name);
  };
  const { config, networks } = leader.state;
  return { cache: new FrameCache({ bulk: { fetch }, runTag: RUN_TAG, config, networks }), fetched: names };
}

const round = async (of = leader.step(), at = cache) => ({ ...of, told: await at.hold("c-0", of.frames, of.versions) });
const hashOf = (bytes: Uint8Array | undefined) => bytes && contentHash(bytes);
const isChange = (name: string) => name.split(".").length === 3;

test("Q50 a gateway that has the version before fetches the change alone, and has the whole of both to the bit", async () => {
  await round();
  expect(fetched.map(isChange)).toEqual([false, false]);
  for (let step = 0; step < 5; step++) {
    fetched.length = 0;
    const { versions, told } = await round();
    expect(fetched).toEqual(versions.map(({ changes }) => changes.at(-1)?.name));
    expect(fetched.every(isChange)).toBe(true);
    expect(told).toEqual(versions);
    for (const { changes, whole } of versions)
      for (const { name } of [...changes, whole])
        expect(hashOf(cache.get(name)), name).toBe(hashOf(leader.frame(name)));
  }
});

test("Q50 one that missed steps fetches the changes since, and one that lacks what they change the whole", async () => {
  await round();
  leader.step();
  leader.step();
  fetched.length = 0;
  const { versions } = await round();
  expect(fetched).toEqual(versions.flatMap(({ changes }) => changes.slice(-3).map(({ name }) => name)));
  const late = newCache();
  const { told } = await round(leader.step(), late.cache);
  expect(late.fetched.map(isChange)).toEqual([false, false]);
  // Volunteers are told of no change that is not there.
  expect(told.map(({ changes }) => changes)).toEqual([[], []]);
  const next = await round(leader.step(), late.cache);
  expect(next.told.map(({ changes }) => changes.length)).toEqual([1, 1]);
  for (const version of next.told)
    for (const name of framesTo(version, version.changes[0].base))
      expect(late.cache.get(name)).toBeInstanceOf(Uint8Array);
});

test("Q51 a change that leads elsewhere is not believed: the whole is fetched; nor is a whole of another hash", async () => {
  leader.step();
  const { versions, frames } = leader.step();
  // Another leader that came to other numbers: its change is of the same name.
  const before = new Leader();
  const first = before.step();
  const right = leader.frame.bind(leader);
  const wrong = newCache((name) => {
    if (!isChange(name)) return first.frames.some((frame) => frame.name === name) ? before.frame(name) : right(name);
    const bytes = right(name).slice();
    bytes[bytes.length - 1] ^= 1;
    return bytes;
  });
  await round(first, wrong.cache);
  wrong.fetched.length = 0;
  await round({ versions, frames }, wrong.cache);
  expect(wrong.fetched.map(isChange)).toEqual([true, false, true, false]);
  for (const { whole } of versions) expect(hashOf(wrong.cache.get(whole.name))).toBe(hashOf(leader.frame(whole.name)));
  const liar = newCache(() => right(versions[1].whole.name));
  await expect(round({ versions, frames }, liar.cache)).rejects.toMatchObject({ code: "BULK_LOST" });
});

test("Q51 what neither a round nor the one before it names is let go", async () => {
  const first = await round();
  await round();
  for (const { whole } of first.versions) expect(cache.get(whole.name)).toBeInstanceOf(Uint8Array);
  await round();
  for (const { whole } of first.versions) expect(cache.get(whole.name)).toBeUndefined();
});

// What a scripted run consists of: its configuration, images, status, parameters and leases.

import { createHash } from "node:crypto";
import { rng } from "../../../shared/base/rng.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { parseConfig, type RunConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { classification } from "../../../shared/tasks/classification.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import { frozenForm, type ParameterSet, type WireForm, wireForm } from "../../../shared/wire/parameter-set.ts";
import { decodeWhole, wholeBytes } from "../../../shared/wire/parameter-update.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";

/** Of the scripted run, as frames number them. */
export const SETS = ["teacher", "student", "discriminators"];
export const RUN_TAG = "0123456789abcdef0123456789abcdef";

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export const scriptedConfig: RunConfig = parseConfig({
  name: "scripted run",
  model: { kind: "lenet", widths: [2, 2, 4] },
  data: { kind: "idx" },
  microbatch: 4,
  batch: 8,
  // One lease at a time, unless a test is about two.
  lease: { ahead: false },
});

/** Images of 28×28 random pixels in shards of `each` samples, with labels below 10. */
export function scriptedData(train = 24, test = 8, each = 10): { dataset: Dataset; contents: Map<string, Uint8Array> } {
  const contents = new Map<string, Uint8Array>();
  const split = (name: string, samples: number) => {
    const shards = [];
    for (let from = 0; from < samples; from += each) {
      const count = Math.min(each, samples - from);
      const draws = rng("scripted data", name, from);
      const bytes = new Uint8Array(count * 786);
      for (let i = 0; i < count * 784; i++) bytes[i] = draws.uint32() & 255;
      for (let i = 0; i < count; i++) bytes[count * 784 + 2 * i] = draws.below(10);
      contents.set(sha256(bytes), bytes);
      shards.push({ sha256: sha256(bytes), samples: count, bytes: bytes.length });
    }
    return { samples, shards };
  };
  const dataset: Dataset = {
    name: "scripted",
    format: { kind: "raw" },
    shape: { h: 28, w: 28, c: 1 },
    classes: 10,
    mean: [0.3],
    std: [0.35],
    train: split("train", train),
    test: split("test", test),
  };
  return { dataset, contents };
}

export function scriptedStatus(overrides: Partial<RunStatus> = {}): RunStatus {
  return {
    run: "run-1",
    name: "scripted run",
    state: "training",
    phase: "1-bit student, epoch 2/3",
    step: 131,
    steps: 480,
    epoch: 1,
    collected: 96,
    wanted: 128,
    workers: 3,
    samples: 16_768,
    samplesPerSecond: 412.5,
    etaSeconds: 215,
    reason: "2/2 workers, 96/128 samples, waiting for w2 (1 s)",
    loss: { total: 1.2345, task: 1.1 },
    bytesPerWorker: { down: 139_000, up: 778_000 },
    loopDelayMs: { max: 12.5, p99: 3.25 },
    batchScore: null,
    scores: {
      teacher: { title: "teacher", ...shownScore(classification.score, 0.861) },
      student: { title: "1-bit network", ...shownScore(classification.score, 0.7654) },
    },
    ...overrides,
  };
}

/** How the scripted run's student travels. */
export const studentForm = scriptedForm("student");

export function scriptedForm(set: ParameterSet, config = scriptedConfig, { dataset } = scriptedData()): WireForm {
  return wireForm(buildNetworks(config, dataset), config, set);
}

/** An expanded blob of the scripted run's student that is not like another of another name. */
export function scriptedBlob(name: string, form = studentForm): Uint8Array<ArrayBuffer> {
  const draws = rng("scripted parameters", name);
  return decodeWhole(
    form,
    Uint8Array.from({ length: wholeBytes(form) }, () => draws.uint32() & 0x3f),
  );
}

/** The trained teacher's bytes as they are fetched, and expanded. */
export function scriptedTeacher(): { packed: Uint8Array<ArrayBuffer>; blob: Uint8Array<ArrayBuffer> } {
  const form = frozenForm(buildNetworks(scriptedConfig, scriptedData().dataset), scriptedConfig, "teacher");
  const packed = Uint8Array.from({ length: wholeBytes(form) }, (_, i) => (i % 16) * (i & 1));
  return { packed, blob: decodeWhole(form, packed) };
}

/** A lease of the phase that needs nothing beside the network, over positions [0, 8) of the first training epoch. */
export function leaseOf(lease: number, parametersHash: string, overrides: Partial<LeaseMessage> = {}): LeaseMessage {
  return {
    type: "lease",
    lease,
    phase: "bn",
    network: "student",
    step: 0,
    round: lease,
    pass: 0,
    epoch: 0,
    split: "train",
    ranges: [{ from: 0, to: 8 }],
    parametersHash,
    partners: {},
    weights: { task: 1 },
    codec: "f32",
    era: 0,
    exponents: [],
    timeoutMs: 5000,
    frozen: {},
    ...overrides,
  };
}

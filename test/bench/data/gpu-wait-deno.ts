// Leases of a real trainer in Deno, in turns: their images decoded in threads meanwhile, and decoded before. Arguments:
// the file with the case, the turns.

import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { createTrainingState, wireBlob } from "../../../coordinator/state/training-state.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { settledView } from "../../../shared/data/image-view.ts";
import { phaseNamed } from "../../../shared/model/phases.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import type { MicrobatchInput } from "../../../shared/samples/microbatch.ts";
import { decodeThreaded } from "../../../shared/samples/threaded-decoding.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { parameterSets } from "../../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { findGpu, requestDevice } from "../../../worker/device.ts";
import { webDecodeThread } from "../../../worker/platform/decode-thread.ts";
import { LeaseSamples } from "../../../worker/session/lease-samples.ts";
import { createTrainer } from "../../../worker/trainer/trainer.ts";

declare const Deno: { readonly args: readonly string[]; readTextFile(path: string): Promise<string> };

export interface GpuWaitCase {
  readonly config: Record<string, unknown>;
  readonly dataset: Dataset;
  /** Pieces by their keys, each in base64. */
  readonly held: readonly (readonly [string, string])[];
  /** Positions of a lease. */
  readonly samples: number;
}

export interface GpuWaitTurn {
  readonly decoded: "meanwhile" | "before";
  readonly ms: number;
  /** In which the trainer waited for a microbatch, whatever the GPU did. */
  readonly waitedMs: number;
}

const [file = "", turns = "3"] = Deno.args;
const given: GpuWaitCase = JSON.parse(await Deno.readTextFile(file));
const { dataset, samples } = given;
const parsed = parseConfig(given.config);
const config = { ...parsed, data: settledView(parsed.data, dataset.format) };
const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const held = new Map(given.held.map(([key, base64]) => [key, bytesOf(base64)]));

const state = createTrainingState(config, dataset);
const phase = state.program.phases.find(({ evaluate, needs }) => !evaluate && needs.length === 0);
if (!phase) throw new Error("every phase needs another network");
const layout = phaseLayout(state.networks, phaseNamed(state.program, phase.name), config.sync.kind);
const exponents = exponentsFor(state, phase.name, layout);
const open = await requestDevice(findGpu(globalThis), "deno");
const trainer = createTrainer(open.device, { config, dataset, program: state.program });
for (const set of parameterSets(state.networks)) {
  const { hash, bytes } = wireBlob(state, set);
  trainer.loadParameters(set, hash, bytes);
}
const lease: LeaseMessage = {
  type: "lease",
  lease: 1,
  phase: phase.name,
  network: phase.network,
  step: 0,
  round: 1,
  pass: 0,
  epoch: 0,
  split: "train",
  ranges: [{ from: 0, to: samples }],
  parametersHash: wireBlob(state, phase.network).hash,
  partners: {},
  weights: {},
  codec: config.codec,
  era: 0,
  exponents,
  timeoutMs: 600_000,
  frozen: {},
};
const script = new URL("../../../worker/platform/deno/decode-worker.js", import.meta.url);
const decoding = decodeThreaded(
  config,
  dataset,
  webDecodeThread(() => new Worker(script, { type: "module" })),
  1,
);
const prepared = async () => {
  const leased = new LeaseSamples(lease, { config, dataset, decoding, cache: { hold: async () => held } });
  // As a session has it: the first microbatch is decoded while the lease before computes.
  await leased.ready();
  return leased;
};

async function turn(decoded: GpuWaitTurn["decoded"]): Promise<GpuWaitTurn> {
  const leased = await prepared();
  const before = new Map<number, MicrobatchInput>();
  if (decoded === "before") {
    for (let from = 0; from < samples; from += config.microbatch) before.set(from, await leased.input(from));
  }
  let waitedMs = 0;
  const begin = performance.now();
  const input = async (from: number) => {
    const asked = performance.now();
    const microbatch = before.get(from) ?? (await leased.input(from));
    waitedMs += performance.now() - asked;
    return microbatch;
  };
  await trainer.compute(lease, input, () => false);
  return { decoded, ms: performance.now() - begin, waitedMs };
}

await turn("before");
console.log(JSON.stringify({ adapter: open.adapter.description }));
for (let i = 0; i < Number(turns); i++) {
  for (const decoded of ["meanwhile", "before"] as const) console.log(JSON.stringify(await turn(decoded)));
}
decoding.close();
trainer.close();

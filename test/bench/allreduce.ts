// `bench allreduce`: contributions of ResNet-18 (ImageNet widths) that the coordinator absorbs in a second on one core,
// by codec.

import { exponentsFor, recordPeaks } from "../../coordinator/state/exponents.ts";
import { Reduction } from "../../coordinator/sum/reduction/reduction.ts";
import { rng } from "../../shared/base/rng.ts";
import { reportsMean } from "../../shared/codecs/codec.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { type ContributionLayout, phaseLayout } from "../../shared/wire/contribution.ts";
import { payloadHeadBytes } from "../../shared/wire/contribution-payload.ts";
import { frameHeaderBytes } from "../../shared/wire/frame.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { encodeContribution } from "../../worker/trainer/encode-contribution.ts";
import { phaseOf } from "../fixtures/phases.ts";
import type { Emit } from "./line.ts";
import { best, median, rounded } from "./statistics.ts";

/** Samples of a lease: two microbatches of 32. */
const samples = 64;
/** Contributions of a round. */
const perRound = 8;

/** The student of ResNet-18 64-128-256-512 at 224×224, 1,000 classes, without discriminators. */
export function resNet18Layout(): ContributionLayout {
  const model = { kind: "resnet", widths: [64, 128, 256, 512], stem: "imagenet" };
  const config = parseConfig({ model, method: { ablation: "R" } });
  const networks = buildNetworks(config, { shape: { h: 224, w: 224, c: 3 }, classes: 1000 });
  return phaseLayout(networks, phaseOf("student", { model, method: { ablation: "R" } }));
}

/** Gradients of a lease: noise whose size differs from tensor to tensor as that of real ones does. */
function drawArena(layout: ContributionLayout): Float32Array<ArrayBuffer> {
  const arena = new Float32Array(layout.size);
  layout.tensors.forEach(({ offset, size }, index) => {
    let state = rng(0, "allreduce", index).uint32();
    const scale = samples * 2 ** (-6 - (index % 5));
    for (let i = offset; i < offset + size; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const first = state;
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      // The difference of two uniform draws: a triangle about 0.
      arena[i] = (scale * (first - state)) / 2 ** 32;
    }
  });
  return arena;
}

interface Case {
  readonly codec: string;
  readonly exponents: readonly number[];
  readonly frame: Uint8Array<ArrayBuffer>;
}

function prepare(layout: ContributionLayout, arena: Float32Array, codec: string): Case {
  const peaks = Float32Array.from(layout.tensors, ({ offset, size }) => {
    const values = arena.subarray(offset, offset + size);
    return values.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  });
  // As after a first step: units that fit these gradients, scales of signs that fit their means.
  const state = { exponents: new Map<string, number>(), config: { batch: samples, codec } };
  const means = Float32Array.from(layout.tensors, ({ offset, size }) => {
    const values = arena.subarray(offset, offset + size);
    return values.reduce((sum, x) => sum + Math.abs(x), 0) / (size * samples);
  });
  const reports = layout.tensors.map((tensor, i) => (reportsMean(codecs.get(codec), tensor) ? means[i] : peaks[i]));
  recordPeaks(state, "student", { layout, codec, peaks: reports });
  const exponents = exponentsFor(state, "student", layout);
  const wire = wireLayout(layout, codec);
  const unit = (i: number) => 2 ** exponents[layout.segments[i >> 6]];
  const numbers =
    wire.codec.accumulate === "exact" ? Int32Array.from(arena, (x, i) => Math.round(x / unit(i))) : arena.slice();
  const { body } = encodeContribution({
    lease: { ranges: [{ from: 0, to: samples }], exponents },
    wire,
    result: { peaks: new Uint32Array(peaks.buffer), sum: new Uint8Array(numbers.buffer) },
    residual: () => new Float32Array(wire.wide),
  });
  const head = frameHeaderBytes + payloadHeadBytes(peaks.length);
  const frame = new Uint8Array(head + body.length);
  frame.set(new Uint8Array(peaks.buffer), frameHeaderBytes);
  frame.set(body, head);
  return { codec, exponents, frame };
}

/** Milliseconds of the parts of absorbing one contribution, and of ending a round; `core`: what it computed of that. */
interface Times {
  readonly checksum: number[];
  readonly sum: number[];
  readonly core: number[];
  readonly finish: number[];
}

/**
 * Milliseconds that this process has computed: beside other programs a clock on the wall also counts the wait for a
 * core.
 */
function coreMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function absorb(
  reduction: Reduction,
  layout: ContributionLayout,
  { codec, exponents, frame }: Case,
  times: Times,
): void {
  reduction.begin({ layout, exponents, codec });
  for (let i = 0; i < perRound; i++) {
    const [start, core] = [performance.now(), coreMs()];
    const bytes = reduction.load(0, frame);
    reduction.checksum(bytes);
    const checked = performance.now();
    reduction.inspect(0, samples, frame.length - frameHeaderBytes);
    reduction.commit(0);
    times.checksum.push(checked - start);
    times.sum.push(performance.now() - checked);
    times.core.push(coreMs() - core);
  }
  const start = performance.now();
  reduction.finish();
  times.finish.push(performance.now() - start);
}

/** What one would write first: a float32 sum in a loop, with no check at all, and not exact. */
function plainSum(arena: Float32Array, total: Float32Array, ms: number[]): void {
  for (let i = 0; i < perRound; i++) {
    const start = coreMs();
    for (let j = 0; j < arena.length; j++) total[j] += arena[j];
    ms.push(coreMs() - start);
  }
}

export async function benchAllreduce(
  { rounds }: { readonly rounds: number },
  emit: Emit,
  layout = resNet18Layout(),
): Promise<void> {
  const elements = layout.tensors.reduce((sum, { size }) => sum + size, 0);
  const text =
    `ResNet-18, ${(elements / 1e6).toFixed(1)} M values a contribution; one core; rounds of ${perRound} contributions of each codec and of the ` +
    `plain sum in turns, ${rounds} times after one that warms up; medians of a core's own time, in brackets by the clock`;
  await emit({ record: "policy", text });
  const arena = drawArena(layout);
  const total = new Float32Array(layout.size);
  const reduction = new Reduction();
  const cases = codecs.kinds.map((codec) => ({
    ...prepare(layout, arena, codec),
    times: { checksum: [], sum: [], core: [], finish: [] } as Times,
  }));
  let plain: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    if (round === 1) {
      plain = [];
      for (const { times } of cases) for (const ms of Object.values(times)) ms.length = 0;
    }
    plainSum(arena, total, plain);
    for (const each of cases) absorb(reduction, layout, each, each.times);
  }
  const float = 4 * elements;
  await emit({
    record: "note",
    text: `plain float32 sum in JavaScript: ${rounded(median(plain))} ms of a core, the best ${rounded(best(plain))}`,
  });
  for (const { codec, frame, times } of cases) {
    const whole = times.sum.map((ms, i) => ms + times.checksum[i]);
    await emit({
      record: "allreduce",
      codec,
      bytes: frame.length,
      ofFloat: rounded(float / frame.length, 3),
      ms: rounded(best(whole)),
      medianMs: rounded(median(whole)),
      coreMs: rounded(median(times.core)),
      perSecond: rounded(1000 / median(times.core), 3),
      sumMs: rounded(median(times.sum), 3),
      checksumMs: rounded(median(times.checksum), 3),
      finishMs: rounded(median(times.finish), 3),
      ofPlain: rounded(median(plain) / median(times.core), 3),
    });
  }
}

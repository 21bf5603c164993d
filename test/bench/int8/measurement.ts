// The int8 ways beside the f32 kernels on one device: checked to the bit, timed in one interleaved run, compared by their direction.
import {
  binaryConvInputGradient,
  binaryConvWeightGradient,
} from "../../../kernels/convolution/registers/binary-conv.ts";
import type { Kernel, KernelSequence } from "../../../kernels/text/kernel.ts";
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { cosine } from "../statistics.ts";
import type { Counter } from "./counters.ts";
import { dotInputGradient, serialInputGradient } from "./input-gradient.ts";
import {
  bytesAlongChannels,
  bytesAlongSamples,
  planesAlongChannels,
  planesAlongSamples,
  powerOfTwoScale,
  quantiseDequantise,
  tapSums,
} from "./quantise.ts";
import { activationsAlongSamples, stackedRows, weightsAlongOutputs } from "./signs.ts";
import { dotWeightGradient, serialWeightGradient } from "./weight-gradient.ts";
import { Workbench } from "./workbench.ts";

/** The layer that other libraries were measured on. */
const SHAPE: WindowShape = { n: 8, h: 28, w: 28, in: 128, out: 128, kernel: 3, stride: 1, padding: 1 };
const COUNTERS: readonly Counter[] = ["popcount", "merged"];
const ROUNDS = 4;

interface Candidate {
  readonly pass: "input gradient" | "weight gradient";
  readonly name: string;
  /** What only this way needs, and then the pass; each binds by name. */
  readonly preparation: readonly (Kernel | KernelSequence)[];
  readonly product: Kernel | KernelSequence;
}

function candidates(s: WindowShape): readonly Candidate[] {
  const gradient = { n: s.n, h: s.h, w: s.w, c: s.out };
  const scale = powerOfTwoScale(s.n * s.h * s.w * s.out);
  return [
    {
      pass: "input gradient",
      name: "f32",
      preparation: [],
      product: binaryConvInputGradient({ shape: s, rectify: "kernel", surrogate: "bireal", accumulate: false }),
    },
    {
      pass: "input gradient",
      name: "dot4I8Packed",
      preparation: [scale, bytesAlongChannels(gradient), weightsAlongOutputs(s)],
      product: dotInputGradient(s, { rows: 8, columns: 8 }),
    },
    ...COUNTERS.map((counter) => ({
      pass: "input gradient" as const,
      name: `bit-serial ${counter}`,
      preparation: [scale, planesAlongChannels(gradient), weightsAlongOutputs(s)],
      product: serialInputGradient(s, { rows: 4, columns: 4 }, counter),
    })),
    { pass: "weight gradient", name: "f32", preparation: [], product: binaryConvWeightGradient({ shape: s }) },
    {
      pass: "weight gradient",
      name: "dot4I8Packed",
      preparation: [scale, bytesAlongSamples(gradient), activationsAlongSamples(s)],
      product: dotWeightGradient(s, { rows: 8, columns: 8 }),
    },
    ...COUNTERS.map((counter) => ({
      pass: "weight gradient" as const,
      name: `bit-serial ${counter}`,
      preparation: [scale, planesAlongSamples(gradient), tapSums(gradient), activationsAlongSamples(s), stackedRows(s)],
      product: serialWeightGradient(s, { rows: 4, columns: 8 }, counter),
    })),
  ];
}

/** Standard normal numbers, the same in every run (Box and Muller). */
function normals(length: number, seed: number): Float32Array<ArrayBuffer> {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

const size = SHAPE.n * SHAPE.h * SHAPE.w * SHAPE.out;
const gaussian = normals(size, 1);
const spread = normals(size, 2);

/** Gradients of the layer's output, from tame to those in which few elements hold most of the energy. */
const GRADIENTS: Readonly<Record<string, Float32Array<ArrayBuffer>>> = {
  gaussian,
  "heavy-tailed, gaussian times exp of gaussian": gaussian.map((v, i) => v * Math.exp(spread[i]!)),
  "very heavy-tailed, gaussian times exp of 1.5 gaussian": gaussian.map((v, i) => v * Math.exp(1.5 * spread[i]!)),
  "samples of 1 to 1/1000 the size": gaussian.map((v, i) => v * 10 ** ((-3 * Math.floor((i * SHAPE.n) / size)) / 7)),
};

const round = (value: number, digits: number) => Number(value.toFixed(digits));

/** Lines of the report, as JSON, for one device. */
export async function* measure(device: GPUDevice, adapter: string): AsyncGenerator<Record<string, unknown>> {
  const bench = new Workbench(device);
  const { n, h, w, in: input, out } = SHAPE;
  const weights = out * 9 * input;
  const activations = n * h * w * input;
  const words = (length: number) => Uint32Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0);
  bench.buffer("dy", 4 * size, GRADIENTS.gaussian);
  bench.buffer(
    "x",
    4 * activations,
    normals(activations, 3).map((v) => v / 2),
  );
  bench.buffer("a", 4 * n * h * w * signWords(input), words(n * h * w * signWords(input)));
  bench.buffer("w", 4 * out * 9 * signWords(input), words(out * 9 * signWords(input)));
  // With C = 1 and gradients that are integers times one scale, the f32 kernels are exact too: all ways must agree to the bit.
  bench.buffer("c", 36, new Float32Array(9).fill(1));
  for (const [name, bytes] of [
    ["scale", 8],
    ["values", 4 * size],
    ["bytes", size],
    ["planes", size],
    ["sums", Math.max(size / 8, (h / 4) * 9 * out * 4)],
    ["signs", 4 * Math.max(h * w * input, weights / 32)],
    ["stacked", 4 * (h + 2) * w * input],
    ["dx", 4 * activations],
    ["dw", 4 * weights],
    ["scratch", 4 * weights * 32],
  ] as const) {
    bench.buffer(name, bytes);
  }
  const ways = await Promise.all(
    candidates(SHAPE).map(async (candidate) => ({
      ...candidate,
      prepare: await bench.bind(candidate.preparation),
      run: await bench.bind([candidate.product]),
      preparationMs: Number.POSITIVE_INFINITY,
      productMs: Number.POSITIVE_INFINITY,
      exact: true,
    })),
  );
  const result = (pass: Candidate["pass"]) =>
    pass === "input gradient" ? bench.read("dx", activations) : bench.read("dw", weights);

  /** A way that writes nothing must not pass for the one before it. */
  const forget = () => {
    bench.write("dx", new Float32Array(activations).fill(Number.NaN));
    bench.write("dw", new Float32Array(weights).fill(Number.NaN));
  };

  const dequantise = await bench.bind([powerOfTwoScale(size), quantiseDequantise(size)]);
  await bench.time(dequantise, 1, 0);
  const fromValues = new Map<Candidate["pass"], Float32Array>();
  for (const way of ways) {
    forget();
    if (way.name === "f32") {
      await bench.time(await bench.bind([way.product], { dy: "values" }), 1, 0);
      fromValues.set(way.pass, await result(way.pass));
    } else {
      await bench.time(way.prepare, 1, 0);
      await bench.time(way.run, 1, 0);
      const expected = fromValues.get(way.pass)!;
      way.exact = (await result(way.pass)).every((v, i) => v === expected[i]);
    }
  }
  for (let i = 0; i < ROUNDS; i++) {
    for (const way of ways) {
      const sleep = (ms: number) => (Number.isFinite(ms) ? 0.8 * ms : 0);
      if (way.preparation.length > 0) {
        const ms = await bench.time(way.prepare, 8, sleep(way.preparationMs));
        way.preparationMs = Math.min(way.preparationMs, ms);
      }
      way.productMs = Math.min(way.productMs, await bench.time(way.run, 1, sleep(way.productMs)));
    }
  }
  for (const { pass, name, preparation, preparationMs, productMs, exact } of ways) {
    const ms = preparation.length > 0 ? preparationMs + productMs : productMs;
    const f32 = ways.find((way) => way.pass === pass)!.productMs;
    yield {
      adapter,
      pass,
      way: name,
      ...(preparation.length > 0 && { preparationMs: round(preparationMs, 2), exact }),
      productMs: round(productMs, 1),
      timesAsFastAsF32: round(f32 / ms, 2),
    };
  }

  const float = ways.filter((way) => way.name === "f32");
  for (const [gradient, dy] of Object.entries(GRADIENTS)) {
    bench.write("dy", dy);
    await bench.time(await bench.bind([powerOfTwoScale(size), quantiseDequantise(size)]), 1, 0);
    const rounded = await bench.read("values", size);
    const line: Record<string, unknown> = {
      adapter,
      gradient,
      zeros: round(rounded.filter((v) => v === 0).length / size, 3),
    };
    for (const { pass, product } of float) {
      await bench.time(await bench.bind([product]), 1, 0);
      const full = await result(pass);
      await bench.time(await bench.bind([product], { dy: "values" }), 1, 0);
      line[`cosine of the ${pass}`] = round(cosine(full, await result(pass)), 5);
    }
    yield line;
  }
}

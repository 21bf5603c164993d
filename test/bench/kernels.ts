// How fast the convolutions run here, as JSON lines: `node dist/test/bench/kernels.js [words of the names…]`.
import { binaryConvForward, binaryConvInputGradient, binaryConvWeightGradient } from "../../kernels/binary-conv.ts";
import { convForward, convInputGradient, convWeightGradient } from "../../kernels/conv.ts";
import type { KernelSequence } from "../../kernels/kernel.ts";
import { outputHeight, outputWidth, signWords, type WindowShape } from "../../shared/window.ts";
import { prepare, type Tensor, testDevice, withErrorScopes } from "../fixtures/device.ts";

interface Case {
  readonly name: string;
  readonly shape: WindowShape;
}

function window(
  name: string,
  n: number,
  side: number,
  [input, out]: readonly [number, number],
  [kernel, stride, padding]: readonly [number, number, number],
): Case {
  return { name, shape: { n, h: side, w: side, in: input, out, kernel, stride, padding } };
}

const FLOAT: readonly Case[] = [
  window("lenet conv1", 32, 28, [1, 12], [5, 1, 0]),
  window("lenet conv2 teacher", 32, 12, [12, 24], [5, 1, 0]),
  window("lenet conv3 teacher", 32, 4, [24, 96], [4, 1, 0]),
  window("lenet fc", 32, 1, [96, 10], [1, 1, 0]),
  window("discriminator 12-128", 64, 1, [12, 128], [1, 1, 0]),
  window("discriminator 128-256", 64, 1, [128, 256], [1, 1, 0]),
  window("discriminator 256-128", 64, 1, [256, 128], [1, 1, 0]),
  window("discriminator 128-1", 64, 1, [128, 1], [1, 1, 0]),
  window("cifar stem", 8, 32, [3, 64], [3, 1, 1]),
  window("cifar 64-64", 8, 32, [64, 64], [3, 1, 1]),
  window("cifar 64-128 stride 2", 8, 32, [64, 128], [3, 2, 1]),
  window("cifar 256-256", 8, 8, [256, 256], [3, 1, 1]),
  window("peer 128-128", 8, 28, [128, 128], [3, 1, 1]),
];

const BINARY: readonly Case[] = [
  window("lenet conv2", 32, 12, [12, 24], [5, 1, 0]),
  window("lenet conv3", 32, 4, [24, 96], [4, 1, 0]),
  window("cifar 64-64", 8, 32, [64, 64], [3, 1, 1]),
  window("cifar 64-128 stride 2", 8, 32, [64, 128], [3, 2, 1]),
  window("cifar 256-256", 8, 8, [256, 256], [3, 1, 1]),
  window("peer 128-128", 8, 28, [128, 128], [3, 1, 1]),
];

function floats(length: number): Tensor {
  return Float32Array.from({ length }, (_, i) => ((i * 7919) % 2001) / 1000 - 1);
}

function words(length: number): Tensor {
  return Uint32Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0);
}

const idle = new Int32Array(new SharedArrayBuffer(4));

/** Milliseconds of one run: the best of four measurements of at least 150 ms each. */
async function milliseconds(
  device: GPUDevice,
  sequence: KernelSequence,
  bindings: Readonly<Record<string, Tensor>>,
): Promise<number> {
  return withErrorScopes(device, async () => {
    const prepared = await prepare(device, sequence, bindings);
    let best = Number.POSITIVE_INFINITY;
    const time = async (times: number) => {
      const start = performance.now();
      prepared.submit(times);
      // Dawn in Node polls while it waits, and so takes a core from a software adapter: sleep for most of the time.
      if (best < Number.POSITIVE_INFINITY) Atomics.wait(idle, 0, 0, 0.8 * best * times);
      await device.queue.onSubmittedWorkDone();
      const total = performance.now() - start;
      best = Math.min(best, total / times);
      return total;
    };
    try {
      await time(1);
      let times = 1;
      while ((await time(times)) < 150 && times < 1024) times *= 2;
      best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 4; i++) await time(times);
      return best;
    } finally {
      prepared.destroy();
    }
  });
}

const filter = process.argv.slice(2);
const device = await testDevice();

async function report(name: string, kind: string, shape: WindowShape, sequence: KernelSequence): Promise<void> {
  if (!filter.every((word) => `${name} ${kind}`.includes(word))) return;
  const { n, h, w, out, kernel } = shape;
  const outputs = n * outputHeight(shape) * outputWidth(shape) * out;
  const signs = kind.startsWith("binary");
  const ms = await milliseconds(device, sequence, {
    x: floats(n * h * w * shape.in),
    y: floats(outputs),
    dy: floats(outputs),
    dx: floats(n * h * w * shape.in),
    w: signs ? words(out * kernel * kernel * signWords(shape.in)) : floats(out * kernel * kernel * shape.in),
    a: words(n * h * w * signWords(shape.in)),
    c: floats(kernel * kernel),
    dw: floats(out * kernel * kernel * shape.in),
  });
  // Multiply-adds of the dense definition (padding included), counted as two operations.
  const giga = (2 * outputs * kernel * kernel * shape.in) / ms / 1e6;
  const unit = kind === "binary forward" ? "Gop/s" : "GFLOP/s";
  const label = sequence.kernels[0]!.label;
  console.log(
    JSON.stringify({
      adapter: device.adapterInfo.description,
      name,
      kind,
      label,
      ms: Number(ms.toFixed(3)),
      [unit]: Number(giga.toFixed(2)),
    }),
  );
}

for (const { name, shape } of FLOAT) {
  await report(name, "float forward", shape, convForward({ shape, bias: false }));
  await report(name, "float input gradient", shape, convInputGradient({ shape, accumulate: false }));
  await report(name, "float weight gradient", shape, convWeightGradient({ shape }));
}
for (const { name, shape } of BINARY) {
  const rectify = "kernel";
  await report(name, "binary forward", shape, binaryConvForward({ shape, rectify }));
  const gradient = binaryConvInputGradient({ shape, rectify, surrogate: "bireal", accumulate: false });
  await report(name, "binary input gradient", shape, gradient);
  await report(name, "binary weight gradient", shape, binaryConvWeightGradient({ shape }));
}
process.exit(0);

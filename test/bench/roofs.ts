// What the adapter does at most of one thing: the roofs of a roofline (S. Williams, A. Waterman, D. Patterson, CACM
// 2009).

import { kernel, read, readWrite } from "../../kernels/text/dispatch.ts";
import type { Kernel } from "../../kernels/text/kernel.ts";
import { range } from "../../kernels/text/range.ts";
import { storageBuffer } from "../../worker/plan/recording.ts";
import type { BenchDevice } from "./bench-device.ts";
import type { Emit, RoofLine, RoofName } from "./line.ts";
import { bind, submit } from "./replay.ts";
import { rounded } from "./statistics.ts";
import { type Stopwatch, timeInTurns } from "./stopwatch.ts";

export type Roofs = Readonly<Record<RoofName, number>>;

/** Independent vec4 registers of a loop's body, and how often the body stands in it. */
const REGISTERS = 8;
const COPIES = 8;
const TURNS = 64;

/** A loop that touches nothing but registers; `statement` updates register i. */
function registerLoop(label: string, items: number, type: string, statement: (i: number) => string): Kernel {
  const registers = range(REGISTERS);
  return kernel({
    label,
    storage: [read("x", `vec4<${type}>`), readWrite("y", `vec4<${type}>`)],
    items,
    body: `
let p = x[index % 4u];
let q = x[4u + index % 4u];
${registers.map((i) => `var r${i} = p + vec4<${type}>(${i});`).join("\n")}
for (var turn = 0u; turn < ${TURNS}u; turn++) {
${range(COPIES)
  .map(() => registers.map(statement).join("\n"))
  .join("\n")}
}
y[index] = ${registers.map((i) => `r${i}`).join(" + ")};`,
  });
}

interface RoofCase {
  readonly name: RoofName;
  readonly unit: string;
  readonly kernel: Kernel;
  /** The figure, given the milliseconds of one dispatch. */
  readonly figure: (ms: number) => number;
  readonly bytes: number;
}

function roofCases(software: boolean): readonly RoofCase[] {
  const items = software ? 4096 : 1 << 20;
  const statements = items * REGISTERS * COPIES * TURNS;
  const copyBytes = software ? 32 * 2 ** 20 : 128 * 2 ** 20;
  return [
    {
      name: "multiplyAdd",
      unit: "GFLOP/s",
      kernel: registerLoop("multiply-add roof", items, "f32", (i) => `r${i} = r${i} * p + q;`),
      figure: (ms) => (statements * 4 * 2) / ms / 1e6,
      bytes: 16 * items,
    },
    {
      name: "popcount",
      unit: "Gop/s",
      kernel: registerLoop("popcount roof", items, "u32", (i) => `r${i} += countOneBits(r${i} ^ p);`),
      // 32 products and 32 sums a word.
      figure: (ms) => (statements * 4 * 64) / ms / 1e6,
      bytes: 16 * items,
    },
    {
      name: "copy",
      unit: "GB/s",
      kernel: kernel({
        label: "copy roof",
        storage: [read("x", "vec4<f32>"), readWrite("y", "vec4<f32>")],
        items: copyBytes / 16,
        workgroupSize: 256,
        body: "y[index] = x[index];",
      }),
      figure: (ms) => (2 * copyBytes) / ms / 1e6,
      bytes: copyBytes,
    },
    {
      name: "dispatch",
      unit: "µs",
      kernel: kernel({
        label: "dispatch roof",
        storage: [read("x"), readWrite("y")],
        items: 1,
        body: "y[index] = x[index];",
      }),
      figure: (ms) => 1000 * ms,
      bytes: 64,
    },
  ];
}

async function measure(bench: BenchDevice, watch: Stopwatch, roof: RoofCase): Promise<number> {
  const { device, cache } = bench;
  const bytes = Math.max(roof.bytes, 256);
  const buffers = [storageBuffer(device, "x", bytes), storageBuffer(device, "y", bytes)];
  try {
    device.queue.writeBuffer(
      buffers[0],
      0,
      Float32Array.from({ length: 32 }, (_, i) => 0.5 + i / 64),
    );
    const refs = buffers.map((_, id) => ({ kind: "transient", id, offset: 0, bytes }) as const);
    const bound = await bind(cache, [{ kernel: roof.kernel, refs }], (ref) => ({
      buffer: ref.kind === "transient" ? buffers[ref.id] : buffers[0],
    }));
    const [timing] = await timeInTurns(watch, [{ submit: (times) => submit(device, bound, times) }]);
    return roof.figure(timing.best);
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}

/** Milliseconds of a submit of nothing and the wait for it. */
async function waitMs(device: GPUDevice, rounds: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8 * rounds; i++) {
    const start = performance.now();
    device.queue.submit([device.createCommandEncoder().finish()]);
    await device.queue.onSubmittedWorkDone();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

/** Measures and emits every roof. */
export async function measureRoofs(bench: BenchDevice, watch: Stopwatch, emit: Emit): Promise<Roofs> {
  const figures: Partial<Record<RoofName, number>> = {};
  const take = async (line: RoofLine) => {
    figures[line.name] = line.value;
    await emit(line);
  };
  for (const roof of roofCases(bench.traits.software)) {
    const value = rounded(await measure(bench, watch, roof));
    await take({ record: "roof", name: roof.name, value, unit: roof.unit });
  }
  await take({ record: "roof", name: "wait", value: rounded(await waitMs(bench.device, watch.rounds)), unit: "ms" });
  return figures as Roofs;
}

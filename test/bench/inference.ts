// How fast an exported network predicts in a browser, and how large it is, beside the same in floats in
// onnxruntime-web: one Chromium, one thread, in turns.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import puppeteer from "puppeteer";
import { packageRoot } from "../../coordinator/base/package-root.ts";
import { writeOnnx } from "../../coordinator/export/onnx/onnx-model.ts";
import type { PluginOptions } from "../../shared/base/registry.ts";
import { readExported } from "../../shared/export/read-exported.ts";
import { type Graph, GraphBuilder } from "../../shared/model/graph.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { drawnFile, methodGraph } from "../fixtures/drawn-export.ts";
import type { Emit, InferenceLine } from "./line.ts";

export interface InferenceOptions {
  readonly rounds: number;
  readonly method: string;
}

interface Case {
  readonly name: string;
  readonly ours: Uint8Array;
  readonly onnx: Uint8Array;
  /** NCHW and NHWC are one for what is measured: every value is the same. */
  readonly shape: readonly [h: number, w: number, c: number];
}

const file = (...parts: string[]) => readFileSync(join(packageRoot(), ...parts));

/** A layer of few bits behind the one that makes its channels of a picture, which is small; then the mean. */
function layerGraph(kind: string, size: number, channels: number, out: number, stride: number): Graph {
  const plugin = methods.get(kind);
  const method = plugin.create(plugin.schema.parse({ kind }) as PluginOptions);
  const g = new GraphBuilder({ h: size, w: size, c: 3 });
  const spread = g.add({ op: "conv", name: "spread", input: g.input, out: channels, kernel: 1, stride: 1, padding: 0 });
  const layer = method.body(g, { name: "layer", input: spread, out, kernel: 3, stride, padding: 1 });
  return g.build(g.add({ op: "globalpool", input: layer }));
}

function caseOf(name: string, bits: Graph, floats: Graph): Case {
  const ours = drawnFile(bits, { classes: bits.shapes[bits.output]!.c });
  const twin = drawnFile(floats, { classes: floats.shapes[floats.output]!.c });
  const { h, w, c } = bits.shapes[0]!;
  return { name, ours, onnx: writeOnnx(readExported(twin), "float"), shape: [h, w, c] };
}

/** ResNet-18 at 224 × 224, whole, and each kind of its layers that have few bits. */
function casesOf(method: string): Case[] {
  const model = { kind: "resnet", depth: 18, stem: "imagenet" };
  const shape = { h: 224, w: 224, c: 3 };
  const layers = [
    [56, 64, 64, 1],
    [56, 64, 128, 2],
    [28, 128, 128, 1],
    [28, 128, 256, 2],
    [14, 256, 256, 1],
    [14, 256, 512, 2],
    [7, 512, 512, 1],
  ] as const;
  return [
    caseOf(
      "ResNet-18, 224 × 224",
      methodGraph({ kind: method }, model, shape),
      methodGraph({ kind: "full" }, model, shape),
    ),
    ...layers.map(([size, channels, out, stride]) =>
      caseOf(
        `3 × 3, ${channels} → ${out}, ${size} × ${size}, stride ${stride}`,
        layerGraph(method, size, channels, out, stride),
        layerGraph("full", size, channels, out, stride),
      ),
    ),
  ];
}

/** Runs in the page: both load the case, then take turns. */
const script = `
import { load } from "./inference.js";
import * as ort from "./ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./", location.href).href;
globalThis.measure = async (at, [h, w, c], rounds, atLeastMs) => {
  const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
  const model = await load(await bytes(at + ".safetensors"), { backend: "wasm" });
  const session = await ort.InferenceSession.create(await bytes(at + ".onnx"));
  const values = Float32Array.from({ length: h * w * c }, (_, i) => Math.sin(i));
  const tensor = new ort.Tensor("float32", values, [1, c, h, w]);
  const runs = [() => model.logits(values), () => session.run({ [session.inputNames[0]]: tensor })];
  const turn = async (run) => {
    const begun = performance.now();
    let times = 0;
    do { await run(); times++; } while (performance.now() - begun < atLeastMs);
    return (performance.now() - begun) / times;
  };
  for (const run of runs) await run();
  const measured = [[], []];
  for (let round = 0; round < rounds; round++) for (const i of [0, 1]) measured[i].push(await turn(runs[i]));
  model.dispose();
  await session.release();
  return measured;
};
document.title = "ready";
`;

/** Shortest measurement of one. */
const AT_LEAST_MS = 200;

export async function benchInference({ rounds, method }: InferenceOptions, emit: Emit): Promise<void> {
  const cases = casesOf(method);
  const ort = "node_modules/onnxruntime-web/dist";
  const files = new Map<string, readonly [type: string, bytes: Uint8Array]>([
    ["/", ["text/html", Buffer.from('<!doctype html><script type="module" src="bench.js"></script>')]],
    ["/bench.js", ["text/javascript", Buffer.from(script)]],
    ["/inference.js", ["text/javascript", file("dist/inference/inference.js")]],
    ["/ort.wasm.min.mjs", ["text/javascript", file(ort, "ort.wasm.min.mjs")]],
    ["/ort-wasm-simd-threaded.mjs", ["text/javascript", file(ort, "ort-wasm-simd-threaded.mjs")]],
    ["/ort-wasm-simd-threaded.wasm", ["application/wasm", file(ort, "ort-wasm-simd-threaded.wasm")]],
    ...cases.flatMap(({ ours, onnx }, at) => [
      [`/${at}.safetensors`, ["application/octet-stream", ours]] as const,
      [`/${at}.onnx`, ["application/octet-stream", onnx]] as const,
    ]),
  ]);
  const server = createServer((request, response) => {
    const found = files.get(request.url ?? "");
    response.writeHead(found ? 200 : 404, { "content-type": found?.[0] ?? "text/plain" }).end(found?.[1]);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const args = chromiumArguments({ software: true, headless: true });
  const browser = await puppeteer.launch({
    executablePath: findChromium(),
    args,
    pipe: true,
    protocolTimeout: 1_800_000,
  });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(600_000);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction("document.title === 'ready'");
    const runtime = await browser.version();
    for (const [at, { name, shape, ours, onnx }] of cases.entries()) {
      const measured = (await page.evaluate(
        `measure(${at}, ${JSON.stringify(shape)}, ${rounds}, ${AT_LEAST_MS})`,
      )) as number[][];
      const figures = ([ours, onnx] as const).map((bytes, i) => {
        const times = measured[i]!.sort((a, b) => a - b);
        return { ms: times[times.length >> 1]!, leastMs: times[0]!, bytes: bytes.length };
      });
      const [mine, theirs] = figures as [InferenceLine["ours"], InferenceLine["ours"]];
      await emit({
        record: "inference",
        name,
        runtime,
        ours: mine,
        onnx: theirs,
        faster: theirs.ms / mine.ms,
        smaller: theirs.bytes / mine.bytes,
      });
    }
  } finally {
    await browser.close();
    server.close();
  }
}

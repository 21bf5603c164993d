// The share of a step in which the GPU waits for data: leases of ResNet-18 at 64 pixels in Deno, whose images are
// decoded in a thread meanwhile, in turns with the same leases decoded before.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Dataset, MEDIA_JPEG } from "../../../shared/data/dataset.ts";
import { chunkPiece } from "../../../shared/data/piece.ts";
import { writeChunk } from "../../../shared/data/shard-layout.ts";
import { runInDeno } from "../../fixtures/in-runtime.ts";
import type { Emit } from "../line.ts";
import { median, rounded } from "../statistics.ts";
import type { GpuWaitCase, GpuWaitTurn } from "./gpu-wait-deno.ts";
import { mosaics } from "./mosaics.ts";

const SIDE = 64;
const MICROBATCH = 16;
const MICROBATCHES = 3;
const CHUNK = 8;
const TIMEOUT_MS = 30 * 60_000;

async function waitCase(): Promise<GpuWaitCase> {
  const samples = MICROBATCH * MICROBATCHES;
  const jpegs = await mosaics(samples, { quality: 90, chromaSubsampling: "4:2:0", short: 256 });
  const format = { kind: "bytes", media: MEDIA_JPEG, targetBytes: 2, chunk: CHUNK } as const;
  const shard = { sha256: "ab".repeat(32), samples, bytes: 1 };
  const contents = jpegs.map((content, i) => ({ content, target: Uint8Array.of(i % 10, 0) }));
  const held = Array.from({ length: samples / CHUNK }, (_, i) => {
    const chunk = writeChunk(format, contents.slice(i * CHUNK, (i + 1) * CHUNK));
    return [chunkPiece(shard, i).key, Buffer.from(chunk).toString("base64")] as const;
  });
  const split = { samples, shards: [shard] };
  const dataset: Dataset = {
    name: "mosaics",
    format,
    shape: { h: 256, w: 256, c: 3 },
    classes: 10,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
    train: split,
    test: split,
  };
  const config = {
    data: { kind: "store", store: "/bench", size: SIDE },
    model: { kind: "resnet", depth: 18, stem: "imagenet" },
    method: { kind: "xnor" },
    batch: samples,
    microbatch: MICROBATCH,
  };
  return { config, dataset, held, samples };
}

export async function benchGpuWait(rounds: number, emit: Emit): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), "bitswarm-bench-"));
  try {
    const file = path.join(folder, "case.json");
    writeFileSync(file, JSON.stringify(await waitCase()));
    let adapter = "";
    const turns: GpuWaitTurn[] = [];
    await runInDeno({
      program: "test/bench/data/gpu-wait-deno.js",
      args: [file, String(Math.min(rounds, 5))],
      timeoutMs: TIMEOUT_MS,
      onMessage: (message) => {
        if ((message as { adapter?: string }).adapter !== undefined) adapter = (message as { adapter: string }).adapter;
        else turns.push(message as GpuWaitTurn);
      },
    });
    const of = (decoded: GpuWaitTurn["decoded"]) => turns.filter((turn) => turn.decoded === decoded);
    const [meanwhile, before] = [of("meanwhile"), of("before")];
    const shares = meanwhile.map(({ ms }, i) => 1 - (before[i]?.ms ?? ms) / ms);
    await emit({
      record: "gpu-wait",
      name: `ResNet-18, ${SIDE} pixels, microbatches of ${MICROBATCH}, from images of 341×256`,
      adapter,
      ms: rounded(median(meanwhile.map(({ ms }) => ms)) / MICROBATCHES, 3),
      decodedBeforeMs: rounded(median(before.map(({ ms }) => ms)) / MICROBATCHES, 3),
      slower: rounded(median(shares), 3),
      waited: rounded(median(meanwhile.map(({ waitedMs, ms }) => waitedMs / ms)), 4),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// A store in a bucket, against storage that speaks S3: read by the coordinator with its keys, and by workers through
// signed addresses.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDataset } from "../../../coordinator/data/open-dataset.ts";
import { openFreshRun } from "../../../coordinator/run/open-run.ts";
import { BucketStore, SIGNED_SECONDS } from "../../../coordinator/store/bucket-store.ts";
import { shardIndex } from "../../../coordinator/store/store-reader.ts";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { WorkerProcess } from "../../e2e/worker-process.ts";
import { startBucket, type TestBucket } from "../../fixtures/bucket.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder, startTestRun, tinyConfig } from "../../fixtures/test-run.ts";

const shape = { h: 28, w: 28, c: 1 };
const parts = { media: "pixels", shape, mean: [0.5], std: [0.25], classes: 10, chunk: 4, chunksPerShard: 8 } as const;
/** Others each time: workers keep what they fetched. */
const seed = 1 + Math.floor(Math.random() * 2 ** 20);
const splits = { train: noiseSamples(128, shape, 10, seed), val: noiseSamples(32, shape, 10, seed + 1) };

async function uploadedStore() {
  const bucket = await startBucket();
  const folder = join(await scratchFolder(), "store");
  const manifest = await writeStoreFolder(folder, { ...parts, splits });
  await bucket.upload(folder, "sets/noise");
  return { bucket, folder, manifest, store: `s3://${bucket.bucket}/sets/noise` };
}
const open = (store: string, { environment }: Pick<TestBucket, "environment">) =>
  openDataset(parseConfig({ data: { kind: "store", store } }).data, environment);

test("I68 a store in a bucket is the store that was uploaded, and shards are had by signed addresses, in ranges, from any origin", async () => {
  const { bucket, folder, store } = await uploadedStore();
  const local = await openDataset(parseConfig({ data: { kind: "store", store: folder } }).data, {});
  const { dataset, elsewhere, shard } = await open(store, bucket);
  expect(dataset).toEqual({ ...local.dataset, presigned: true });
  expect(elsewhere?.origin).toBe(bucket.endpoint);
  const [{ sha256, bytes }] = dataset.train.shards;
  const address = await elsewhere?.addressOf(sha256);
  expect(address?.expires).toBe(SIGNED_SECONDS);
  expect(await elsewhere?.addressOf("0".repeat(64))).toBeUndefined();
  const content = await readFile(join(folder, "shards", sha256));
  const from = { origin: "https://volunteers.example" };
  const asked = await fetch(address?.url ?? "", { headers: { ...from, range: "bytes=16-99" } });
  expect([asked.status, asked.headers.get("content-range")]).toEqual([206, `bytes 16-99/${bytes}`]);
  expect(Buffer.from(await asked.arrayBuffer()).equals(content.subarray(16, 100))).toBe(true);
  expect(asked.headers.get("access-control-allow-origin")).toBe("*");
  expect(asked.headers.get("access-control-expose-headers")?.toLowerCase()).toMatch(/content-range.*etag/);
  const preflight = { "access-control-request-method": "GET", "access-control-request-headers": "range" };
  const allowed = await fetch(address?.url ?? "", { method: "OPTIONS", headers: { ...from, ...preflight } });
  expect([allowed.status, allowed.headers.get("access-control-allow-headers")]).toEqual([200, "range"]);
  const through = await shard(sha256);
  expect(
    Buffer.from(await new Response(through?.stream(16, 100)).arrayBuffer()).equals(content.subarray(16, 100)),
  ).toBe(true);
});

test("I68 its indices verify over ranges", async () => {
  const { bucket, manifest, store } = await uploadedStore();
  const reader = new BucketStore(store, bucket.environment);
  const [shard] = manifest.splits.train.shards;
  const index = await shardIndex(reader, manifest, shard);
  const { begin, end, sha256 } = index.chunk(3);
  expect(sha256Hex(await reader.range(shard, begin, end))).toBe(sha256);
  await expect(reader.range(shard, shard.bytes, shard.bytes + 1)).rejects.toThrow();
  let list = "";
  for await (const piece of reader.sideFile("samples-val.tsv")) list += Buffer.from(piece).toString();
  expect(list.split("\n")).toHaveLength(33);
});

test("I68 a bucket, or a store in it, that is not there is told as such", async () => {
  const { bucket, store } = await uploadedStore();
  await expect(open("s3://nowhere/sets/noise", bucket)).rejects.toMatchObject({
    code: "BUCKET_REFUSED",
    message: expect.stringMatching(/HTTP 404 NoSuchBucket\): there is no bucket nowhere at 127\.0\.0\.1/),
  });
  await expect(open(`${store}/other`, bucket)).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringMatching(/other\/manifest\.json is not there .*check data\.store/),
  });
});

test.each(["deno", "browser"] as const)(
  "I68 a %s worker trains from the bucket, and the coordinator sends it no sample",
  async (runtime) => {
    const { bucket, store } = await uploadedStore();
    const before = { ...process.env };
    Object.assign(process.env, bucket.environment);
    try {
      const data = { kind: "store", store };
      const config = { ...tinyConfig, method: { kind: "xnor" }, data, epochs: 1, bnPhase: 0 };
      const run = await openFreshRun(parseConfig(config), join(await scratchFolder(), "run"));
      const started = await startTestRun({ open: run, maxSteps: 2 });
      const worker = new WorkerProcess(started.url, runtime);
      expect((await started.coordination.done).step).toBe(2);
      await worker.exited;
      expect(started.coordination.server.downloadsPid).toBeUndefined();
      expect(
        bucket.requests.filter((line) => /GET .*\/shards\/[0-9a-f]{64}\?.*X-Amz-/.test(line)).length,
      ).toBeGreaterThan(2);
      const told = JSON.stringify([
        await started.events(),
        await readFile(join(run.directory.path, "run.yaml"), "utf8"),
      ]);
      expect(told).not.toMatch(/S3RVER|X-Amz/);
    } finally {
      for (const name of Object.keys(bucket.environment)) delete process.env[name];
      Object.assign(process.env, before);
    }
  },
  300_000,
);

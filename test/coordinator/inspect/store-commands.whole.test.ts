// The built program's exit codes and streams: what a script relies on.

import { execFile } from "node:child_process";
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { packageRoot } from "../../../coordinator/base/package-root.ts";
import { startBucket } from "../../fixtures/bucket.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const bin = join(packageRoot(), "dist/coordinator/program/bin.js");

const shape = { h: 8, w: 8, c: 3 };
const parts = {
  media: "pixels",
  shape,
  mean: [0.5, 0.5, 0.5],
  std: [0.2, 0.2, 0.2],
  classes: 3,
  chunk: 4,
  chunksPerShard: 4,
  splits: { train: noiseSamples(30, shape, 3), val: noiseSamples(5, shape, 3) },
} as const;

async function coordinator(words: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const env = { ...process.env, ...environment };
  try {
    return { code: 0, ...(await promisify(execFile)(process.execPath, [bin, ...words], { env })) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

test("I6, I9 labels alone are on standard output; a store that is damaged or not there ends with 1", async () => {
  const folder = await scratchFolder();
  await writeStoreFolder(folder, parts);
  const labels = await coordinator(["inspect", folder, "--labels", "validation"]);
  expect(labels).toEqual({ code: 0, stdout: await readFile(join(folder, "samples-val.tsv"), "utf8"), stderr: "" });
  expect(JSON.parse((await coordinator(["inspect", folder, "--json"])).stdout).splits).toEqual({
    train: { samples: 30 },
    val: { samples: 5 },
  });
  expect((await coordinator(["verify-store", folder, "--decode"])).code).toBe(0);
  const [shard] = await readdir(join(folder, "shards"));
  await appendFile(join(folder, "shards", shard!), "x");
  const damaged = await coordinator(["verify-store", folder]);
  expect(damaged.code).toBe(1);
  expect(damaged.stdout).toContain(`damaged: `);
  const missing = await coordinator(["inspect", join(folder, "none")]);
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  expect(missing.stderr).toContain("error DATA_MISSING");
});

test("I9 a store in a bucket is verified and inspected as one in a folder", async () => {
  const bucket = await startBucket();
  const folder = join(await scratchFolder(), "store");
  const { splits } = await writeStoreFolder(folder, parts);
  await bucket.upload(folder, "sets/noise");
  const store = `s3://${bucket.bucket}/sets/noise`;
  const whole = await coordinator(["verify-store", store, "--decode"], bucket.environment);
  expect(whole).toMatchObject({ code: 0, stdout: expect.stringContaining(`${store} is whole: 35 samples`) });
  const labels = await coordinator(["inspect", store, "--labels", "val"], bucket.environment);
  expect(labels.stdout).toBe(await readFile(join(folder, "samples-val.tsv"), "utf8"));
  const shard = join(folder, "shards", splits.val!.shards[0].sha256);
  const bytes = await readFile(shard);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(shard, bytes);
  await bucket.upload(folder, "sets/noise");
  const damaged = await coordinator(["verify-store", store], bucket.environment);
  expect(damaged.code).toBe(1);
  expect(damaged.stdout).toMatch(/damaged: val: chunk 1 of shard [0-9a-f]{64} \(sample 4\) hashes to/);
});

// Rules of `coordinator import` as a program: killed at any point it goes on to the same bytes, it needs no more memory
// than it may whatever the size, and Ctrl-C says how to go on.

import { spawnSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { CoordinatorProcess, runCoordinator } from "../../fixtures/coordinator-process.ts";
import { imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { filesOf } from "../../fixtures/imported.ts";
import { builtProgram } from "../../fixtures/programs.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const MIB = 2 ** 20;
/** What an import may have, whatever its size. */
const MOST_MEMORY = 500 * MIB;

interface Progress {
  readonly type: string;
  readonly share?: number;
  readonly doing?: string;
}

/** Starts an import and kills it at a progress for which `when` holds. @returns whether it was killed before its end */
async function killed(args: readonly string[], when: (progress: Progress) => boolean): Promise<boolean> {
  const child = new CoordinatorProcess([...args, "--json"]);
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  let seen = 0;
  while (!ended) {
    const lines = child.stdout.split("\n").slice(0, -1);
    for (; seen < lines.length; seen++) {
      const event = JSON.parse(lines[seen]) as Progress;
      if (event.type === "progress" && when(event)) {
        child.child.kill("SIGKILL");
        await child.exited;
        return true;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return false;
}

/** Runs an import to its end. @returns the most memory that it had at once */
async function memoryOf(args: readonly string[]): Promise<number> {
  const child = new CoordinatorProcess(args);
  let most = 0;
  const timer = setInterval(async () => {
    const status = await readFile(`/proc/${child.child.pid}/status`, "utf8").catch(() => "");
    most = Math.max(most, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024);
  }, 50);
  const { code, stderr } = await child.exited;
  clearInterval(timer);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return most;
}

let shared = "";
beforeAll(() => {
  shared = mkdtempSync(path.join(tmpdir(), "bitswarm-import-"));
});
afterAll(() => rmSync(shared, { recursive: true, force: true }));

let drawnPixels: string | undefined;
/** CIFAR-10's files with more records: two buckets and a dozen shards; drawn once. */
function manyPixels(): string {
  drawnPixels ??= drawPixels(shared);
  return drawnPixels;
}

let importedPixels: Promise<{ readonly store: string; readonly memory: number }> | undefined;
/** A store of them, of an import that nothing disturbed, and the most memory that it had at once. */
function wholePixels() {
  const store = path.join(shared, "whole");
  importedPixels ??= memoryOf(["import", manyPixels(), "--out", store]).then((memory) => ({ store, memory }));
  return importedPixels;
}

function drawPixels(folder: string): string {
  const source = path.join(folder, "cifar-10-batches-bin");
  mkdirSync(source);
  const draws = rng(1, "pixels");
  const names = Array.from({ length: 10 }, (_, i) => `class ${i}`);
  for (const [file, records] of [
    ...[1, 2, 3, 4, 5].map((i) => [`data_batch_${i}.bin`, 5000] as const),
    ["test_batch.bin", 2000] as const,
  ]) {
    const bytes = Buffer.alloc(records * 3073);
    for (let i = 0; i < records; i++) {
      bytes[i * 3073] = i % 10;
      bytes.fill(draws.uint32() & 255, i * 3073 + 1, (i + 1) * 3073);
      bytes.writeUInt32LE(draws.uint32(), i * 3073 + 2000);
    }
    writeFileSync(path.join(source, file), bytes);
  }
  writeFileSync(path.join(source, "batches.meta.txt"), `${names.join("\n")}\n`);
  return source;
}

/** Ten folders of photographs' size, 130 MB, most of them links to others. */
async function manyImages(folder: string): Promise<string> {
  const source = path.join(folder, "images");
  const [width, height] = [500, 375];
  const drawn: string[] = [];
  for (let i = 0; i < 800; i++) {
    const within = path.join(source, "train", `class-${i % 10}`);
    mkdirSync(within, { recursive: true });
    const file = path.join(within, `${i}.jpg`);
    if (i < 10) {
      const draws = rng(i, "image");
      const pixels = Uint8Array.from(
        { length: 3 * width * height },
        (_, at) => 100 + 60 * Math.sin(at / (900 + 90 * i)) + (draws.uint32() % 60),
      );
      writeFileSync(
        file,
        await sharp(pixels, { raw: { width, height, channels: 3 } })
          .jpeg({ quality: 92 })
          .toBuffer(),
      );
      drawn.push(file);
    } else linkSync(drawn[i % 10], file);
  }
  return source;
}

test("I26 an import of pixels that is killed again and again ends with the bytes of one that was not", {
  timeout: 300_000,
}, async () => {
  const folder = await scratchFolder();
  const source = manyPixels();
  const whole = await wholePixels();
  expect(whole.memory).toBeLessThan(MOST_MEMORY);
  const out = path.join(folder, "killed");
  let kills = 0;
  const args = ["import", source, "--out", out];
  for (const share of [0, 0.3, 0.5, 0.62, 0.8])
    kills += (await killed(args, (progress) => (progress.share ?? 0) >= share)) ? 1 : 0;
  expect(kills).toBeGreaterThan(2);
  const { code, stdout } = await runCoordinator(...args);
  expect(code).toBe(0);
  expect(stdout).toMatch(/It was begun before, and goes on at \d+\.\d %/);
  expect(await filesOf(out)).toEqual(await filesOf(whole.store));
  expect((await readdir(out)).sort()).toEqual([
    "converted.ndjson",
    "manifest.json",
    "rejected.ndjson",
    "samples-test.tsv",
    "samples-train.tsv",
    "shards",
  ]);
});

test("I26 an import of images that is killed ends with the same bytes, and within its memory", {
  timeout: 300_000,
}, async () => {
  const folder = await scratchFolder();
  const source = await manyImages(folder);
  const out = path.join(folder, "killed");
  const args = (store: string, workers: number) => [
    "import",
    source,
    "--out",
    store,
    "--workers",
    `${workers}`,
    "--chunk",
    "1",
    "--holdout",
    "0",
  ];
  expect(await killed(args(out, 3), ({ share = 0 }) => share > 0.2)).toBe(true);
  await killed(args(out, 1), ({ doing }) => doing === "writing");
  expect(await memoryOf(args(out, 2))).toBeLessThan(MOST_MEMORY);
  const whole = path.join(folder, "whole");
  expect(await memoryOf(args(whole, 2))).toBeLessThan(MOST_MEMORY);
  expect(await filesOf(out)).toEqual(await filesOf(whole));
});

test("I26 a disk that takes no more is an error of the disk's own, and the import goes on once it does", async () => {
  const folder = await scratchFolder();
  const source = manyPixels();
  const out = path.join(folder, "store");
  // A limit on the size of a file, in KiB, is what a shell can have of a disk that is full.
  const command = `ulimit -f 20000; exec "${process.execPath}" "${builtProgram("bitswarm")}" import "${source}" --out "${out}"`;
  const full = spawnSync("bash", ["-c", command], { encoding: "utf8" });
  expect({ status: full.status, stderr: full.stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(
      /^error STORAGE_FAILED: .*contents cannot be written: .*\(EFBIG\)\. Make room, and give the same command again/,
    ),
  });
  const { code, stdout } = await runCoordinator("import", source, "--out", out);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/goes on at [1-9]\d*\.\d %/) });
  expect(await filesOf(out)).toEqual(await filesOf((await wholePixels()).store));
});

test("I26 Ctrl-C ends an import with what to type to go on, and that goes on", async () => {
  const folder = await scratchFolder();
  const source = manyPixels();
  const out = path.join(folder, "a store");
  const child = new CoordinatorProcess(["import", source, "--out", out]);
  await child.printed(/reading/);
  child.child.kill("SIGINT");
  const { code, stderr } = await child.exited;
  expect({ code, stderr }).toEqual({
    code: 130,
    stderr: expect.stringMatching(
      /stopped; what was read is kept\. The same command goes on with it: .* import .*'[^']*a store'/,
    ),
  });
  expect((await runCoordinator("import", source, "--out", out)).code).toBe(0);
});

test("I25 the program says what it recognised and what came out, as text and as lines of JSON", async () => {
  const { root } = imagenetFixtures();
  const folder = await scratchFolder();
  const source = path.join(root, "imagefolder");
  const stopped = await runCoordinator("import", source, "--out", path.join(folder, "store"));
  expect(stopped).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^error IMPORT_REJECTS: 5 of \d+ files cannot be used; .*--limit-rejects 5;/ms),
  });
  const text = await runCoordinator("import", source, "--out", path.join(folder, "store"), "--limit-rejects", "5");
  expect(text.code).toBe(0);
  expect(text.stdout).toMatch(
    /This is an image folder \(imagefolder\): .*10 classes; .*is done\..*converted .*5 rejected .*n02123045_9007\.JPEG: it has no bytes.*Train on it: /s,
  );
  const json = await runCoordinator(
    "import",
    source,
    "--out",
    path.join(folder, "json"),
    "--limit-rejects",
    "10%",
    "--json",
  );
  expect(json.code).toBe(0);
  const events = json.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string });
  expect(events[0]).toMatchObject({ type: "recognised", layout: "imagefolder", classes: 10 });
  expect(events.at(-1)).toMatchObject({
    type: "done",
    rejected: 5,
    converted: 6,
    classes: 10,
    splits: { train: { samples: expect.any(Number) } },
  });
  expect(events.filter(({ type }) => type === "rejected").length).toBe(5);
  for (const [flag, value] of [
    ["--limit-rejects", "some"],
    ["--holdout", "95%"],
    ["--workers", "0"],
    ["--layout", "tfrecord"],
  ]) {
    const refused = await runCoordinator("import", source, "--out", path.join(folder, "none"), flag, value);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/^error CONFIG_INVALID: /) });
  }
});

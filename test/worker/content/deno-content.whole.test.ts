// What Deno workers keep as files, with real processes and a real server: nothing is fetched twice, damage is repaired,
// the cap holds, and several workers share one folder.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { denoArguments, findDeno } from "../../../worker/platform/node/deno.ts";
import { contentServer, sendPart } from "./chunk-server.ts";
import { chunkedShard } from "./chunked-data.ts";
import type { DenoVisit } from "./deno-visit.ts";

const packageRoot = fileURLToPath(new URL("../../..", import.meta.url));
const program = fileURLToPath(new URL("deno-visit.ts", import.meta.url));
const one = chunkedShard(20);
const two = chunkedShard(20, 50);
const shards = [one.shard, two.shard];

interface Seen {
  readonly pieces: number;
  readonly before: number;
  readonly kept: number;
}

async function withFolder() {
  const folder = await mkdtemp(path.join(tmpdir(), "bitswarm-content-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const { asked, base } = await contentServer((_, response, what) => sendPart([one, two], what, response));
  const flags = denoArguments({ host: new URL(base).host, packageRoot, content: folder });
  const visit = async (options: Partial<DenoVisit> = {}): Promise<Seen> => {
    const wanted: DenoVisit = { folder, base, shards, chunks: [0, 1, 2, 3, 4], capBytes: 2 ** 20, ...options };
    const { stdout } = await promisify(execFile)(findDeno(), [...flags, program, JSON.stringify(wanted)]);
    return JSON.parse(stdout);
  };
  const files = async () =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
  return { folder, asked, visit, files };
}

test("I48 a second visit fetches nothing again; a file that was damaged is fetched alone, and whole again", async () => {
  const { asked, visit, files } = await withFolder();
  const first = await visit();
  expect(first).toMatchObject({ pieces: 10, before: 0 });
  expect(asked).toHaveLength(12);
  expect(await visit()).toEqual({ pieces: 10, before: first.kept, kept: first.kept });
  expect(asked).toHaveLength(12);
  const damaged = (await files()).find((file) => file.endsWith(`${one.sha256}.3`)) ?? "";
  const right = await readFile(damaged);
  await writeFile(damaged, right.subarray(0, 100));
  await visit();
  expect(asked.slice(12)).toHaveLength(1);
  expect(await readFile(damaged)).toEqual(right);
});

test("the folder stays below its cap, and what was used last is what stays", async () => {
  const { asked, visit, files } = await withFolder();
  // An index has 192 bytes, a chunk of 4 samples about 500.
  const capBytes = 2000;
  // Pieces that are asked for together may come in any order.
  await visit({ shards: [one.shard], chunks: [0, 1, 2, 3], capBytes });
  const seen = await visit({ shards: [one.shard], chunks: [4], capBytes });
  const sizes = await Promise.all((await files()).map(async (file) => (await stat(file)).size));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(seen.kept);
  expect(seen.kept).toBeLessThanOrEqual(capBytes);
  expect(seen.kept).toBeGreaterThan(capBytes / 2);
  const before = asked.length;
  await visit({ shards: [one.shard], chunks: [4], capBytes });
  expect(asked.slice(before).filter(({ range }) => !range?.startsWith("bytes=0-"))).toEqual([]);
});

test("several workers share the folder at once, and drafts that one left behind go", async () => {
  const { folder, visit, files } = await withFolder();
  const place = path.join(folder, "some-host", "ab");
  await mkdir(place, { recursive: true });
  const stale = path.join(place, ".draft-1-1");
  const fresh = path.join(place, ".draft-1-2");
  await writeFile(stale, "half");
  await writeFile(fresh, "half");
  const long = new Date(Date.now() - 3600_000);
  await utimes(stale, long, long);
  await writeFile(path.join(folder, "stray"), "not ours");
  const seen = await Promise.all([visit(), visit(), visit()]);
  expect(seen.map(({ pieces }) => pieces)).toEqual([10, 10, 10]);
  const found = await files();
  expect(found).not.toContain(stale);
  expect(found).toEqual(expect.arrayContaining([fresh, path.join(folder, "stray")]));
  expect(found).toHaveLength(12 + 2);
});

test("a folder that cannot be written costs downloads, and nothing else", async () => {
  const { folder, asked, visit } = await withFolder();
  await visit({ folder: path.join(folder, "..", "elsewhere") }).then(({ pieces }) => expect(pieces).toBe(10));
  expect(asked).toHaveLength(12);
});

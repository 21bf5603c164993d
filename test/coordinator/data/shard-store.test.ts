// Rules of the shard store: a shard is there whole or not at all, is written once, and is read as a stream.

import { createHash } from "node:crypto";
import { readdir, readFile, stat, truncate, unlink, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ShardStore, shardFolder } from "../../../coordinator/data/shard-store.ts";
import { diskFiles } from "../../../coordinator/disk/durable-file.ts";
import type { StoredFile } from "../../../coordinator/disk/stored-file.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const noise = (length: number, seed = 7) => Uint8Array.from({ length }, (_, i) => (i * seed + (i >> 8)) % 251);
const pathOf = (folder: string, sha256: string) => join(folder, sha256.slice(0, 2), sha256);
const contentOf = async (stored: StoredFile | undefined) =>
  new Uint8Array(await new Response(stored?.stream()).arrayBuffer());

/** Files that this process holds open in a folder. */
async function openFiles(folder: string): Promise<number> {
  const { readlink } = await import("node:fs/promises");
  const links = await Promise.all(
    (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  return links.filter((path) => path.startsWith(folder)).length;
}

test("a shard is kept under its SHA-256, and comes back in pieces that make up the whole", async () => {
  const store = new ShardStore(await scratchFolder());
  const bytes = noise(700_000);
  const kept = await store.put(bytes);
  expect(kept).toEqual({ sha256: createHash("sha256").update(bytes).digest("hex"), bytes: 700_000 });
  const stored = await store.find(kept);
  expect(stored?.bytes).toBe(700_000);
  let pieces = 0;
  for await (const piece of stored?.stream() ?? []) pieces += piece.length > 0 ? 1 : 0;
  expect(pieces).toBe(3);
  expect(Buffer.from(await contentOf(stored)).equals(bytes)).toBe(true);
});

test("what is there already is not written again, and nothing else lies in the folder", async () => {
  const folder = await scratchFolder();
  const store = new ShardStore(folder);
  const { sha256 } = await store.put(noise(1000));
  const before = await stat(pathOf(folder, sha256));
  await store.put(noise(1000));
  expect((await stat(pathOf(folder, sha256))).ino).toBe(before.ino);
  expect(await readdir(join(folder, sha256.slice(0, 2)))).toEqual([sha256]);
});

test("several who keep the same shard at once all find it kept", async () => {
  const folder = await scratchFolder();
  const kept = await Promise.all(Array.from({ length: 8 }, () => new ShardStore(folder).put(noise(100_000))));
  expect(new Set(kept.map(({ sha256 }) => sha256)).size).toBe(1);
  expect(await readdir(join(folder, kept[0].sha256.slice(0, 2)))).toEqual([kept[0].sha256]);
});

test("a file that is damaged under the right name is replaced", async () => {
  const folder = await scratchFolder();
  const store = new ShardStore(folder);
  const bytes = noise(1000);
  const { sha256 } = await store.put(bytes);
  await writeFile(pathOf(folder, sha256), noise(1000, 9));
  await store.put(bytes);
  expect(new Uint8Array(await readFile(pathOf(folder, sha256)))).toEqual(bytes);
});

test("a shard that is gone, or another than was kept, is not there", async () => {
  const folder = await scratchFolder();
  const store = new ShardStore(folder);
  const kept = await store.put(noise(1000));
  await truncate(pathOf(folder, kept.sha256), 999);
  expect(await store.find(kept)).toBeUndefined();
  await unlink(pathOf(folder, kept.sha256));
  expect(await store.find(kept)).toBeUndefined();
});

test("a full disk is STORAGE_FAILED with what to do, and leaves no half shard", async () => {
  const folder = await scratchFolder();
  const full = { ...diskFiles, rename: () => Promise.reject(Object.assign(new Error("full"), { code: "ENOSPC" })) };
  const bytes = noise(1000);
  await expect(new ShardStore(folder, full).put(bytes)).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringMatching(/no space is left .* XDG_CACHE_HOME/),
  });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  expect(await readdir(join(folder, sha256.slice(0, 2)))).toEqual([]);
});

test("no file is open before a stream is read, nor after it ends or is cancelled", async () => {
  const folder = await scratchFolder();
  const store = new ShardStore(folder);
  const kept = await store.put(noise(700_000));
  const stream = (await store.find(kept))!.stream();
  expect(await openFiles(folder)).toBe(0);
  const reader = stream.getReader();
  await reader.read();
  expect(await openFiles(folder)).toBe(1);
  await reader.cancel();
  expect(await openFiles(folder)).toBe(0);
  await contentOf(await store.find(kept));
  expect(await openFiles(folder)).toBe(0);
});

test.each([
  [{ XDG_CACHE_HOME: "/cache" }, "/cache/bitswarm/shards"],
  [{ XDG_CACHE_HOME: "cache" }, join(homedir(), ".cache/bitswarm/shards")],
  [{}, join(homedir(), ".cache/bitswarm/shards")],
])("with the environment %j shards lie in %s", (environment, folder) => {
  expect(shardFolder(environment)).toBe(folder);
});

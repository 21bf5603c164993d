// The cache's rules, against a real HTTP server: nothing is believed that does not hash to its name, nothing is fetched
// twice.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { Piece } from "../../../shared/data/piece.ts";
import { CONTENT_ATTEMPTS } from "../../../worker/content/content-fetch.ts";
import { type CachedDataset, DatasetCache } from "../../../worker/content/dataset-cache.ts";
import { KeptContent } from "../../../worker/content/kept-content.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import { MemoryContent } from "../../fixtures/memory-content.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const bytesOf = (fill: number, length = 1000) => new Uint8Array(length).fill(fill);
const shardOf = (bytes: Uint8Array): Piece => {
  const key = sha256(bytes);
  return { key, shard: { sha256: key, samples: 1, bytes: bytes.length } };
};
const hold = (cache: DatasetCache, ...pieces: Piece[]) => cache.hold(pieces);
const raw: CachedDataset = {
  name: "raw",
  format: { kind: "raw" },
  train: { samples: 1, shards: [] },
  test: { samples: 1, shards: [] },
};

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
});

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void;

/** A cache over a server that answers with these contents, or as it is told; and the paths that were asked for. */
async function caching(answer: Answer, options: { capBytes?: number; storage?: MemoryContent } = {}) {
  const requests: string[] = [];
  const counts = new Map<string, number>();
  const listening = createServer((request, response) => {
    const path = request.url ?? "";
    requests.push(path);
    counts.set(path, (counts.get(path) ?? 0) + 1);
    answer(request, response, counts.get(path) as number);
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", () => resolve()));
  const base = `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;
  const from = {
    base,
    token: "a b&c",
    kept: options.storage && (await KeptContent.open(options.storage)),
    backoff: { baseMs: 1, capMs: 4 },
    ports: runtimePorts(),
  };
  return { cache: new DatasetCache(from, raw, options.capBytes), requests, from };
}

/** Answers with the content of the asked hash. */
function serving(...contents: Uint8Array[]): Answer {
  return (request, response) => {
    const found = contents.find((bytes) => request.url?.includes(sha256(bytes)));
    response.writeHead(found ? 200 : 404).end(found);
  };
}

test("a shard is asked for by its hash, with the token, and its bytes come back", async () => {
  const bytes = bytesOf(1);
  const { cache, requests } = await caching(serving(bytes));
  const held = await hold(cache, shardOf(bytes));
  expect(held.get(sha256(bytes))).toEqual(bytes);
  expect(requests).toEqual([`/shards/${sha256(bytes)}?token=a%20b%26c`]);
});

test("a held shard is not fetched again, and requests at the same time share one download", async () => {
  const bytes = bytesOf(1);
  const { cache, requests } = await caching(serving(bytes));
  await Promise.all([hold(cache, shardOf(bytes)), hold(cache, shardOf(bytes), shardOf(bytes))]);
  await hold(cache, shardOf(bytes));
  expect(requests).toHaveLength(1);
});

test("over the cap the least recently used shard goes, but what one call holds together stays usable", async () => {
  const shards = [1, 2, 3].map((fill) => bytesOf(fill));
  const [a, b, c] = shards.map(shardOf);
  const { cache, requests } = await caching(serving(...shards), { capBytes: 2000 });
  await hold(cache, a);
  await hold(cache, b);
  await hold(cache, a);
  await hold(cache, c);
  expect(cache.bytes).toBe(2000);
  await hold(cache, a);
  expect(requests).toHaveLength(3);
  const held = await hold(cache, a, b, c);
  expect(requests).toHaveLength(4);
  expect([...held.keys()].sort()).toEqual([a, b, c].map((shard) => shard.key).sort());
});

test.each([
  ["other bytes of the same length", bytesOf(9)],
  ["too few bytes", bytesOf(1, 999)],
])("%s are refused with DATA_INVALID after a bounded number of tries", async (_name, wrong) => {
  const { cache, requests } = await caching((_request, response) => response.end(wrong));
  await expect(hold(cache, shardOf(bytesOf(1)))).rejects.toMatchObject({ code: "DATA_INVALID" });
  expect(requests).toHaveLength(CONTENT_ATTEMPTS);
});

test("a server that fails twice is asked a third time", async () => {
  const bytes = bytesOf(4);
  const { cache, requests } = await caching((request, response, count) => {
    if (count === 1) request.socket.destroy();
    else if (count === 2) response.writeHead(503).end();
    else response.end(bytes);
  });
  expect((await hold(cache, shardOf(bytes))).size).toBe(1);
  expect(requests).toHaveLength(3);
});

test("a connection cut in the middle of a shard is a failure, not a short shard", async () => {
  const bytes = bytesOf(4);
  const { cache, requests } = await caching((_request, response, count) => {
    response.writeHead(200, { "content-length": bytes.length });
    if (count > 1) response.end(bytes);
    else response.write(bytes.subarray(0, 400), () => response.destroy());
  });
  expect((await hold(cache, shardOf(bytes))).get(sha256(bytes))).toEqual(bytes);
  expect(requests).toHaveLength(2);
});

test.each([
  [403, "TOKEN_INVALID"],
  [404, "DATA_MISSING"],
])("HTTP %i is final: %s", async (status, code) => {
  const { cache, requests } = await caching((_request, response) => response.writeHead(status).end("{}"));
  await expect(hold(cache, shardOf(bytesOf(1)))).rejects.toMatchObject({ code });
  expect(requests).toHaveLength(1);
});

test("a failed download is not remembered: the next call tries again", async () => {
  const bytes = bytesOf(1);
  let healthy = false;
  const { cache } = await caching((_request, response) =>
    healthy ? response.end(bytes) : response.writeHead(404).end(),
  );
  await expect(hold(cache, shardOf(bytes))).rejects.toMatchObject({ code: "DATA_MISSING" });
  healthy = true;
  expect((await hold(cache, shardOf(bytes))).size).toBe(1);
});

test("a frozen network's blob comes from /blobs and is checked by its hash", async () => {
  const bytes = bytesOf(6, 77);
  const { cache, requests } = await caching(serving(bytes));
  expect(await cache.blob(sha256(bytes))).toEqual(bytes);
  expect(requests[0]).toMatch(/^\/blobs\//);
});

test("what is kept on the device saves the second download, under a name without the token", async () => {
  const storage = new MemoryContent();
  const bytes = bytesOf(1);
  const first = await caching(serving(bytes), { storage });
  await hold(first.cache, shardOf(bytes));
  expect([...storage.held.keys()]).toEqual([`shards/${sha256(bytes)}`]);
  first.cache.close();
  const kept = await KeptContent.open(storage);
  const second = new DatasetCache({ ...first.from, token: "t", kept }, raw);
  expect((await hold(second, shardOf(bytes))).size).toBe(1);
  expect(first.requests).toHaveLength(1);
});

test("a kept copy that rotted is thrown away and fetched", async () => {
  const storage = new MemoryContent();
  const bytes = bytesOf(1);
  const key = `shards/${sha256(bytes)}`;
  await storage.write(key, bytesOf(2));
  const { cache, requests } = await caching(serving(bytes), { storage });
  expect((await hold(cache, shardOf(bytes))).get(sha256(bytes))).toEqual(bytes);
  expect(requests).toHaveLength(1);
  expect(storage.held.get(key)).toEqual(bytes);
});

test.each([
  ["has no room", "QuotaExceededError"],
  ["fails", "InvalidStateError"],
])("storage that %s costs nothing but the next download", async (_, name) => {
  const storage = new MemoryContent();
  const broken = () => Promise.reject(new DOMException("broken", name));
  Object.assign(storage, { write: broken, remove: broken, read: broken });
  const bytes = bytesOf(1);
  const { cache } = await caching(serving(bytes), { storage });
  expect((await hold(cache, shardOf(bytes))).size).toBe(1);
});

test("closing ends downloads that are under way", async () => {
  const { cache, requests } = await caching(() => undefined);
  const holding = hold(cache, shardOf(bytesOf(1)));
  await expect.poll(() => requests.length).toBe(1);
  cache.close();
  await expect(holding).rejects.toThrow();
  expect(cache.bytes).toBe(0);
});

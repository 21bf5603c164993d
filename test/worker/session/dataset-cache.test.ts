// The cache's rules, against a real HTTP server: nothing is believed that does not hash to its name, nothing is fetched
// twice.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { Shard } from "../../../shared/data/dataset.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import { CONTENT_ATTEMPTS, type ContentCache } from "../../../worker/session/content-fetch.ts";
import { DatasetCache } from "../../../worker/session/dataset-cache.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const bytesOf = (fill: number, length = 1000) => new Uint8Array(length).fill(fill);
const shardOf = (bytes: Uint8Array): Shard => ({ sha256: sha256(bytes), samples: 1, bytes: bytes.length });

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
});

type Answer = (request: IncomingMessage, response: ServerResponse, count: number) => void;

/** A cache over a server that answers with these contents, or as it is told; and the paths that were asked for. */
async function caching(answer: Answer, options: { capBytes?: number; cache?: ContentCache } = {}) {
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
    cache: options.cache,
    backoff: { baseMs: 1, capMs: 4 },
    ports: runtimePorts(),
  };
  return { cache: new DatasetCache(from, options.capBytes), requests, base };
}

/** Answers with the content of the asked hash. */
function serving(...contents: Uint8Array[]): Answer {
  return (request, response) => {
    const found = contents.find((bytes) => request.url?.includes(sha256(bytes)));
    response.writeHead(found ? 200 : 404).end(found);
  };
}

/** Cache storage as browsers have it, in memory. */
class MemoryStorage implements ContentCache {
  readonly held = new Map<string, Uint8Array<ArrayBuffer>>();
  async match(key: RequestInfo | URL): Promise<Response | undefined> {
    const bytes = this.held.get(String(key));
    return bytes && new Response(bytes.slice());
  }
  async put(key: RequestInfo | URL, response: Response): Promise<void> {
    this.held.set(String(key), new Uint8Array(await response.arrayBuffer()));
  }
  async delete(key: RequestInfo | URL): Promise<boolean> {
    return this.held.delete(String(key));
  }
}

test("a shard is asked for by its hash, with the token, and its bytes come back", async () => {
  const bytes = bytesOf(1);
  const { cache, requests } = await caching(serving(bytes));
  const held = await cache.hold([shardOf(bytes)]);
  expect(held.get(sha256(bytes))).toEqual(bytes);
  expect(requests).toEqual([`/shards/${sha256(bytes)}?token=a%20b%26c`]);
});

test("a held shard is not fetched again, and requests at the same time share one download", async () => {
  const bytes = bytesOf(1);
  const { cache, requests } = await caching(serving(bytes));
  await Promise.all([cache.hold([shardOf(bytes)]), cache.hold([shardOf(bytes), shardOf(bytes)])]);
  await cache.hold([shardOf(bytes)]);
  expect(requests).toHaveLength(1);
});

test("over the cap the least recently used shard goes, but what one call holds together stays usable", async () => {
  const shards = [1, 2, 3].map((fill) => bytesOf(fill));
  const [a, b, c] = shards.map(shardOf);
  const { cache, requests } = await caching(serving(...shards), { capBytes: 2000 });
  await cache.hold([a]);
  await cache.hold([b]);
  await cache.hold([a]);
  await cache.hold([c]);
  expect(cache.bytes).toBe(2000);
  await cache.hold([a]);
  expect(requests).toHaveLength(3);
  const held = await cache.hold([a, b, c]);
  expect(requests).toHaveLength(4);
  expect([...held.keys()].sort()).toEqual([a, b, c].map((shard) => shard.sha256).sort());
});

test.each([
  ["other bytes of the same length", bytesOf(9)],
  ["too few bytes", bytesOf(1, 999)],
])("%s are refused with DATA_INVALID after a bounded number of tries", async (_name, wrong) => {
  const { cache, requests } = await caching((_request, response) => response.end(wrong));
  await expect(cache.hold([shardOf(bytesOf(1))])).rejects.toMatchObject({ code: "DATA_INVALID" });
  expect(requests).toHaveLength(CONTENT_ATTEMPTS);
});

test("a server that fails twice is asked a third time", async () => {
  const bytes = bytesOf(4);
  const { cache, requests } = await caching((request, response, count) => {
    if (count === 1) request.socket.destroy();
    else if (count === 2) response.writeHead(503).end();
    else response.end(bytes);
  });
  expect((await cache.hold([shardOf(bytes)])).size).toBe(1);
  expect(requests).toHaveLength(3);
});

test("a connection cut in the middle of a shard is a failure, not a short shard", async () => {
  const bytes = bytesOf(4);
  const { cache, requests } = await caching((_request, response, count) => {
    response.writeHead(200, { "content-length": bytes.length });
    if (count > 1) response.end(bytes);
    else response.write(bytes.subarray(0, 400), () => response.destroy());
  });
  expect((await cache.hold([shardOf(bytes)])).get(sha256(bytes))).toEqual(bytes);
  expect(requests).toHaveLength(2);
});

test.each([
  [403, "TOKEN_INVALID"],
  [404, "DATA_MISSING"],
])("HTTP %i is final: %s", async (status, code) => {
  const { cache, requests } = await caching((_request, response) => response.writeHead(status).end("{}"));
  await expect(cache.hold([shardOf(bytesOf(1))])).rejects.toMatchObject({ code });
  expect(requests).toHaveLength(1);
});

test("a failed download is not remembered: the next call tries again", async () => {
  const bytes = bytesOf(1);
  let healthy = false;
  const { cache } = await caching((_request, response) =>
    healthy ? response.end(bytes) : response.writeHead(404).end(),
  );
  await expect(cache.hold([shardOf(bytes)])).rejects.toMatchObject({ code: "DATA_MISSING" });
  healthy = true;
  expect((await cache.hold([shardOf(bytes)])).size).toBe(1);
});

test("a frozen network's blob comes from /blobs and is checked by its hash", async () => {
  const bytes = bytesOf(6, 77);
  const { cache, requests } = await caching(serving(bytes));
  expect(await cache.blob(sha256(bytes))).toEqual(bytes);
  expect(requests[0]).toMatch(/^\/blobs\//);
});

test("Cache storage saves the second download, under a name without the token", async () => {
  const storage = new MemoryStorage();
  const bytes = bytesOf(1);
  const first = await caching(serving(bytes), { cache: storage });
  await first.cache.hold([shardOf(bytes)]);
  expect([...storage.held.keys()]).toEqual([`${first.base}/shards/${sha256(bytes)}`]);
  first.cache.close();
  const second = new DatasetCache({
    base: first.base,
    token: "t",
    cache: storage,
    backoff: { baseMs: 1, capMs: 1 },
    ports: runtimePorts(),
  });
  expect((await second.hold([shardOf(bytes)])).size).toBe(1);
  expect(first.requests).toHaveLength(1);
});

test("a stored copy that rotted is thrown away and fetched", async () => {
  const storage = new MemoryStorage();
  const bytes = bytesOf(1);
  const { cache, base, requests } = await caching(serving(bytes), { cache: storage });
  const key = `${base}/shards/${sha256(bytes)}`;
  storage.held.set(key, bytesOf(2));
  expect((await cache.hold([shardOf(bytes)])).get(sha256(bytes))).toEqual(bytes);
  expect(requests).toHaveLength(1);
  expect(storage.held.get(key)).toEqual(bytes);
});

test("storage that refuses (a full quota) costs nothing but the next download", async () => {
  const storage = new MemoryStorage();
  storage.put = async () => {
    throw new DOMException("no room", "QuotaExceededError");
  };
  const bytes = bytesOf(1);
  const { cache } = await caching(serving(bytes), { cache: storage });
  expect((await cache.hold([shardOf(bytes)])).size).toBe(1);
});

test("closing ends downloads that are under way", async () => {
  const { cache, requests } = await caching(() => undefined);
  const holding = cache.hold([shardOf(bytesOf(1))]);
  await expect.poll(() => requests.length).toBe(1);
  cache.close();
  await expect(holding).rejects.toThrow();
  expect(cache.bytes).toBe(0);
});

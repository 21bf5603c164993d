// Chunks on their way, against a real HTTP server: the index once a shard, one range a request, nothing believed that
// does not hash to what the index says.

import { expect, test } from "vitest";
import type { Shard } from "../../../shared/data/dataset.ts";
import { chunkPiece } from "../../../shared/data/piece.ts";
import {
  CONTENT_ATTEMPTS,
  CONTENT_WAIT_MS,
  MOST_RETRY_AFTER_MS,
  MOST_RETRY_AFTERS,
} from "../../../worker/content/content-fetch.ts";
import { DatasetCache, PARALLEL } from "../../../worker/content/dataset-cache.ts";
import { KeptContent } from "../../../worker/content/kept-content.ts";
import { MemoryContent } from "../../fixtures/memory-content.ts";
import { contentServer, sendPart } from "./chunk-server.ts";
import { chunkedDataset, chunkedShard, format } from "./chunked-data.ts";

const one = chunkedShard(10);
const two = chunkedShard(10, 50);
const dataset = chunkedDataset(one.shard, two.shard);
const bytesOf = ({ bytes, index }: typeof one, chunk: number) => {
  const { begin, end } = index.chunk(chunk);
  return bytes.slice(begin, end);
};
const rangeOf = ({ index }: typeof one, chunk: number) => {
  const { begin, end } = index.chunk(chunk);
  return `bytes=${begin}-${end - 1}`;
};

test("I40 a shard's index is fetched once, then each chunk by one range of its own, and none twice", async () => {
  const { asked, from } = await contentServer((_, response, what) => sendPart([one, two], what, response));
  const cache = new DatasetCache(from, dataset);
  const held = await cache.hold([one.piece(2), one.piece(0), two.piece(1)]);
  expect([...held.keys()]).toEqual([one.piece(2).key, one.piece(0).key, two.piece(1).key]);
  expect(held.get(one.piece(0).key)).toEqual(bytesOf(one, 0));
  await Promise.all([cache.hold([one.piece(0), one.piece(1)]), cache.hold([one.piece(1), one.piece(1)])]);
  const path = ({ sha256 }: typeof one) => `/shards/${sha256}?token=t`;
  const wanted = [
    ...[one, two].map((shard) => ({ path: path(shard), range: `bytes=0-${shard.index.chunk(0).begin - 1}` })),
    ...[0, 1, 2].map((chunk) => ({ path: path(one), range: rangeOf(one, chunk) })),
    { path: path(two), range: rangeOf(two, 1) },
  ];
  expect(asked).toHaveLength(wanted.length);
  expect(asked).toEqual(expect.arrayContaining(wanted));
});

test(`at most ${PARALLEL} requests are under way, and the first wanted come first`, async () => {
  const large = chunkedShard(80);
  const waiting: (() => void)[] = [];
  let most = 0;
  const { from, asked } = await contentServer((_, response, what) => {
    waiting.push(() => sendPart([large], what, response));
    most = Math.max(most, waiting.length);
    setTimeout(() => waiting.shift()?.(), 25);
  });
  const cache = new DatasetCache(from, chunkedDataset(large.shard));
  const order = Array.from({ length: large.index.chunks }, (_, chunk) => chunk);
  await cache.hold(order.map(large.piece));
  expect(most).toBe(PARALLEL);
  const began = asked.slice(1).map(({ range }) => order.findIndex((chunk) => rangeOf(large, chunk) === range));
  began.forEach((chunk, at) => {
    expect(Math.abs(chunk - at)).toBeLessThan(PARALLEL);
  });
});

test("I41 a chunk that hashes to something else is asked for again, and refused in the end", async () => {
  const damaged = one.bytes.slice();
  damaged[one.index.chunk(1).begin + 40] ^= 1;
  let healthy = false;
  const { from, asked } = await contentServer((_, response, what) =>
    sendPart([healthy ? one : { ...one, bytes: damaged }], what, response),
  );
  const cache = new DatasetCache(from, dataset);
  expect((await cache.hold([one.piece(0)])).size).toBe(1);
  await expect(cache.hold([one.piece(1)])).rejects.toMatchObject({ code: "DATA_INVALID" });
  expect(asked).toHaveLength(2 + CONTENT_ATTEMPTS);
  healthy = true;
  expect((await cache.hold([one.piece(1)])).get(one.piece(1).key)).toEqual(bytesOf(one, 1));
});

test.each([
  ["another range than was asked for", `bytes 0-1/${one.bytes.length}`],
  ["a range of another file", `bytes 0-${one.index.chunk(0).begin - 1}/7`],
])("an answer that is said to be %s is not taken, right as it is", async (_, said) => {
  const { from, asked } = await contentServer((_request, response) =>
    response.writeHead(206, { "content-range": said }).end(one.bytes.subarray(0, one.index.chunk(0).begin)),
  );
  await expect(new DatasetCache(from, dataset).hold([one.piece(0)])).rejects.toMatchObject({ code: "DATA_INVALID" });
  expect(asked).toHaveLength(CONTENT_ATTEMPTS);
});

test.each([200, 206])("an answer %i that announces more than the file has is not read", async (status) => {
  let sent = 0;
  const { from, asked } = await contentServer((_request, response) => {
    response.writeHead(status, { "content-length": 2 ** 40 });
    const piece = new Uint8Array(2 ** 16);
    const more = () => {
      sent += piece.length;
      if (sent < 2 ** 26 && !response.destroyed) response.write(piece, more);
    };
    more();
  });
  await expect(new DatasetCache(from, dataset).hold([one.piece(0)])).rejects.toMatchObject({ code: "DATA_INVALID" });
  expect(asked).toHaveLength(CONTENT_ATTEMPTS);
  expect(sent).toBeLessThan(2 ** 26);
});

test("a part without Content-Range, which other servers do not show to every page, is believed by its hash", async () => {
  const { from } = await contentServer((_, response, what) => {
    const headers = response.writeHead.bind(response);
    response.writeHead = ((status: number) => headers(status)) as typeof response.writeHead;
    sendPart([one], what, response);
  });
  const cache = new DatasetCache(from, dataset);
  expect((await cache.hold([one.piece(1)])).get(one.piece(1).key)).toEqual(bytesOf(one, 1));
});

test("I42 a server that knows no ranges sends each shard once: what is right of it is taken, the rest asked for again", async () => {
  const damaged = one.bytes.slice();
  damaged[one.index.chunk(2).begin + 40] ^= 1;
  const storage = new MemoryContent();
  const { from, asked } = await contentServer((_, response, what, count) => {
    const found = [one, two].find(({ sha256 }) => what.path.includes(sha256));
    response.writeHead(200).end(found === one && count === 1 ? damaged : found?.bytes);
  }, storage);
  const cache = new DatasetCache(from, dataset);
  const held = await cache.hold([one.piece(0), one.piece(1)]);
  expect(held.get(one.piece(1).key)).toEqual(bytesOf(one, 1));
  expect(asked).toHaveLength(1);
  expect(storage.held.has(`chunks/${one.sha256}/2`)).toBe(false);
  await cache.hold([two.piece(0), two.piece(1), two.piece(2)]);
  expect(asked).toHaveLength(2);
  expect((await cache.hold([one.piece(2)])).get(one.piece(2).key)).toEqual(bytesOf(one, 2));
  expect(asked).toHaveLength(3);
});

test("a server that asks to be left alone for a while is, and that is no failure", async () => {
  const { from, asked } = await contentServer((_, response, what, count) => {
    if (count <= 2 * CONTENT_ATTEMPTS) response.writeHead(429, { "retry-after": "1" }).end("{}");
    else sendPart([one], what, response);
  });
  const waits: number[] = [];
  const clock = {
    ...from.ports.clock,
    after: (ms: number, call: () => void) => {
      if (ms < 30_000) waits.push(ms);
      return from.ports.clock.after(ms < 30_000 ? 1 : ms, call);
    },
  };
  const cache = new DatasetCache({ ...from, ports: { ...from.ports, clock } }, dataset);
  expect((await cache.hold([one.piece(0)])).size).toBe(1);
  expect(asked).toHaveLength(2 * CONTENT_ATTEMPTS + 2);
  expect(waits).toHaveLength(2 * CONTENT_ATTEMPTS);
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(1000);
});

test("one that asks so for ever is given up", async () => {
  const { from, asked } = await contentServer((_, response) =>
    response.writeHead(503, { "retry-after": "3600" }).end(),
  );
  const clock = {
    ...from.ports.clock,
    after: (ms: number, call: () => void) => {
      expect(ms).toBeLessThan(2 * MOST_RETRY_AFTER_MS);
      return from.ports.clock.after(ms < CONTENT_WAIT_MS || ms >= MOST_RETRY_AFTER_MS ? 1 : ms, call);
    },
  };
  const cache = new DatasetCache({ ...from, ports: { ...from.ports, clock } }, dataset);
  await expect(cache.hold([one.piece(0)])).rejects.toMatchObject({ code: "RUN_UNREACHABLE" });
  expect(asked).toHaveLength(MOST_RETRY_AFTERS + CONTENT_ATTEMPTS);
});

test("an index that does not fit its shard, or is none, is DATA_INVALID", async () => {
  const { from, asked } = await contentServer((_, response, what) => sendPart([one], what, response));
  const holding = (shard: Shard) => new DatasetCache(from, chunkedDataset(shard)).hold([chunkPiece(shard, 0)]);
  await expect(holding({ ...one.shard, bytes: 96 })).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringContaining("has 96 bytes; the index of 10 samples has 112"),
  });
  expect(asked).toEqual([]);
  // It hashes to its name, and is the index of another shard.
  await expect(holding({ ...one.shard, samples: 12, bytes: one.shard.bytes - 400 })).rejects.toMatchObject({
    code: "DATA_INVALID",
  });
});

test("chunks that are kept are not fetched again, nor their index; a damaged one alone is", async () => {
  const storage = new MemoryContent();
  const { from, asked } = await contentServer((_, response, what) => sendPart([one, two], what, response), storage);
  await new DatasetCache(from, dataset).hold([one.piece(0), one.piece(1)]);
  expect([...storage.held.keys()]).toEqual([`index/${one.sha256}`, `chunks/${one.sha256}/0`, `chunks/${one.sha256}/1`]);
  const again = new DatasetCache({ ...from, kept: await KeptContent.open(storage) }, dataset);
  await again.hold([one.piece(0), one.piece(1)]);
  expect(asked).toHaveLength(3);
  storage.held.get(`chunks/${one.sha256}/1`)?.fill(0, 60, 70);
  const third = new DatasetCache({ ...from, kept: await KeptContent.open(storage) }, dataset);
  const held = await third.hold([one.piece(0), one.piece(1)]);
  expect(held.get(one.piece(1).key)).toEqual(bytesOf(one, 1));
  expect(asked.slice(3)).toEqual([expect.objectContaining({ range: rangeOf(one, 1) })]);
  expect(storage.held.get(`chunks/${one.sha256}/1`)).toEqual(bytesOf(one, 1));
});

test("I43 what needs no download is told as it comes and goes, from memory and from what is kept", async () => {
  const storage = new MemoryContent(1024);
  const { from } = await contentServer((_, response, what) => sendPart([one, two], what, response), storage);
  await storage.write(`chunks/${"f".repeat(64)}/0`, new Uint8Array(8));
  const cache = new DatasetCache(from, dataset, 1024);
  let changes = 0;
  const stop = cache.onHolds(() => changes++);
  const holds = (held: DatasetCache) =>
    [...held.holds].flatMap(([shard, chunks]) => [...chunks].map((chunk) => `chunks/${shard}/${chunk}`)).sort();
  expect(holds(cache)).toEqual([]);
  await cache.hold([one.piece(0), one.piece(2)]);
  expect(holds(cache)).toEqual([0, 2].map((chunk) => `chunks/${one.sha256}/${chunk}`));
  const before = changes;
  expect(before).toBeGreaterThanOrEqual(2);
  // Chunks have about 450 bytes: in memory there is room for two, on the device for as many with an index.
  await cache.hold([two.piece(0), two.piece(1)]);
  expect(holds(cache)).toEqual(expect.arrayContaining([0, 1].map((chunk) => `chunks/${two.sha256}/${chunk}`)));
  expect(holds(cache).length).toBeLessThan(4);
  expect(changes).toBeGreaterThan(before);
  stop();
  cache.close();
  const fresh = new DatasetCache({ ...from, kept: await KeptContent.open(storage) }, dataset);
  const kept = [...storage.held.keys()].filter((key) => key.startsWith("chunks/") && !key.includes("ffff"));
  expect(holds(fresh)).toEqual(kept.sort());
  expect(kept.length).toBeGreaterThan(0);
});

test("a piece of another format is the caller's mistake", async () => {
  const { from } = await contentServer((_, response) => response.writeHead(500).end());
  const cache = new DatasetCache(from, dataset);
  await expect(cache.hold([{ key: one.sha256, shard: one.shard }])).rejects.toThrow(RangeError);
  expect(format.chunk).toBe(4);
});

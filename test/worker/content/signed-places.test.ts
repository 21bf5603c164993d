// Shards that lie elsewhere: fetched there by addresses that the coordinator signs for a while, else from the
// coordinator.

import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { ELSEWHERE_AGAIN_MS } from "../../../worker/content/content-places.ts";
import type { FetchOptions } from "../../../worker/content/content-ports.ts";
import { DatasetCache } from "../../../worker/content/dataset-cache.ts";
import { type Asked, contentServer, sendPart } from "./chunk-server.ts";
import { chunkedDataset, chunkedShard } from "./chunked-data.ts";

const one = chunkedShard(20);
const dataset = { ...chunkedDataset(one.shard), presigned: true };
const sign = `/shards/${one.sha256}/url?token=t`;

type Elsewhere = (response: ServerResponse, asked: Asked, count: number) => void;

/** A coordinator that signs addresses of another server, and a clock that is turned by hand. */
async function twoServers(elsewhere: Elsewhere, expires: unknown = 100) {
  let now = 0;
  const store = await contentServer((_, response, asked, count) => elsewhere(response, asked, count));
  const home = await contentServer((_, response, asked) => {
    if (asked.path !== sign) return sendPart([one], asked, response);
    const signed = home.asked.filter(({ path }) => path === sign).length;
    response.end(JSON.stringify({ url: `${store.base}/shards/${one.sha256}?signature=${signed}`, expires }));
  });
  const asked: (readonly [string, FetchOptions])[] = [];
  const { ports } = home.from;
  const cache = new DatasetCache(
    {
      ...home.from,
      ports: {
        ...ports,
        clock: { ...ports.clock, now: () => now },
        fetch: (url, options) => {
          asked.push([url, options]);
          return ports.fetch(url, options);
        },
      },
    },
    dataset,
  );
  const pathsAtHome = () => home.asked.map(({ path, range }) => (range ? "shard" : path));
  return { cache, store, asked, pathsAtHome, pass: (ms: number) => (now += ms) };
}

test("I46 a shard that lies elsewhere is fetched there by one signed address, which learns nothing of the run", async () => {
  const { cache, store, asked, pathsAtHome } = await twoServers((response, what) => sendPart([one], what, response));
  const held = await cache.hold([0, 1, 2, 3].map(one.piece));
  expect(held.size).toBe(4);
  expect(pathsAtHome()).toEqual([sign]);
  expect(store.asked.map(({ path }) => path)).toEqual(new Array(5).fill(`/shards/${one.sha256}?signature=1`));
  const there = asked.filter(([url]) => url.startsWith(store.base));
  for (const [url, options] of there) {
    expect(url).not.toContain("token");
    expect(options).toMatchObject({ credentials: "omit", referrerPolicy: "no-referrer", cache: "no-store" });
  }
});

test("an address is asked for anew before it expires", async () => {
  const { cache, store, pass } = await twoServers((response, what) => sendPart([one], what, response));
  await cache.hold([one.piece(0)]);
  pass(79_000);
  await cache.hold([one.piece(1)]);
  pass(2_000);
  await cache.hold([one.piece(2)]);
  expect(store.asked.map(({ path }) => path.at(-1))).toEqual(["1", "1", "1", "2"]);
});

test("an address that is refused is asked for anew", async () => {
  const { cache, store, pathsAtHome } = await twoServers((response, what, count) => {
    if (count === 2) response.writeHead(403).end("<Error/>");
    else sendPart([one], what, response);
  });
  await cache.hold([one.piece(0)]);
  expect(store.asked.map(({ path }) => path.at(-1))).toEqual(["1", "1", "2"]);
  expect(pathsAtHome()).toEqual([sign, sign]);
});

test.each<[string, Elsewhere]>([
  ["refuses", (response) => response.writeHead(403).end()],
  ["does not have it", (response) => response.writeHead(404).end()],
  ["has something else", (response) => response.writeHead(206).end("else")],
  ["breaks off", (response) => response.destroy()],
])("I47 from a store that %s the coordinator itself is asked", async (_, elsewhere) => {
  const { cache, pathsAtHome } = await twoServers(elsewhere);
  expect((await cache.hold([one.piece(3)])).size).toBe(1);
  expect(pathsAtHome().filter((path) => path === "shard")).toHaveLength(2);
});

test.each([[0], ["tomorrow"], [1e9], [undefined]])(
  "an address that is good for %s seconds is none: the coordinator is asked for a while",
  async (expires) => {
    const { cache, store, pathsAtHome, pass } = await twoServers(() => undefined, expires ?? null);
    await cache.hold([one.piece(0), one.piece(1)]);
    expect(store.asked).toEqual([]);
    expect(pathsAtHome()).toEqual([sign, "shard", "shard", "shard"]);
    pass(ELSEWHERE_AGAIN_MS + 1);
    await cache.hold([one.piece(2)]);
    expect(pathsAtHome().filter((path) => path === sign)).toHaveLength(2);
  },
);

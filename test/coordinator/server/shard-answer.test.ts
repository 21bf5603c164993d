// What a request for a shard is answered with: the rules of RFC 9110 for one range, and what is made of all others.

import { expect, test } from "vitest";
import { type ShardRequest, shardAnswer, shardNamed } from "../../../coordinator/server/shard-answer.ts";

const sha256 = "ab".repeat(32);
const etag = `"${sha256}"`;
const answer = (request: Partial<ShardRequest>) => shardAnswer({ method: "GET", ...request }, sha256, 1000);

test.each<[string, number, number, string]>([
  ["bytes=0-35", 0, 36, "bytes 0-35/1000"],
  ["bytes=10-10", 10, 11, "bytes 10-10/1000"],
  ["bytes=900-", 900, 1000, "bytes 900-999/1000"],
  ["bytes=900-5000", 900, 1000, "bytes 900-999/1000"],
  ["bytes=-100", 900, 1000, "bytes 900-999/1000"],
  ["bytes=-5000", 0, 1000, "bytes 0-999/1000"],
  ["BYTES= 1-2 ", 1, 3, "bytes 1-2/1000"],
])("I64 %s is one range", (range, begin, end, contentRange) => {
  expect(answer({ range })).toMatchObject({
    status: 206,
    begin,
    end,
    headers: { "content-range": contentRange, "content-length": String(end - begin), etag, "accept-ranges": "bytes" },
  });
});

test.each([undefined, "bytes=0-1,5-9", "bytes=5-1", "bytes=-", "bytes=a-b", "items=0-1", `bytes=${"9".repeat(40)}-`])(
  "I64 what is no single range is the whole shard: %s",
  (range) => {
    const { status, begin, end, headers } = answer(range === undefined ? {} : { range });
    expect([status, begin, end, headers["content-length"], headers["content-range"]]).toEqual([
      200,
      0,
      1000,
      "1000",
      undefined,
    ]);
  },
);

test.each(["bytes=1000-", "bytes=1000-1001", "bytes=-0"])(
  "I64 %s is outside, and says how long the shard is",
  (range) => {
    expect(answer({ range })).toMatchObject({ status: 416, headers: { "content-range": "bytes */1000" } });
    expect(answer({ range }).end).toBe(0);
  },
);

test("I64 a range counts where If-Range has the strong tag, and is left out of account otherwise", () => {
  const range = "bytes=0-9";
  expect(answer({ range, ifRange: etag }).status).toBe(206);
  for (const ifRange of [`W/${etag}`, '"other"', "Wed, 21 Oct 2015 07:28:00 GMT"]) {
    expect(answer({ range, ifRange }).status).toBe(200);
  }
});

test("I64 whoever has the shard is told so first, and nobody else", () => {
  for (const ifNoneMatch of [etag, `"x", ${etag}`, `W/${etag}`, "*"]) {
    expect(answer({ ifNoneMatch, range: "bytes=0-9" })).toMatchObject({ status: 304, begin: 0, end: 0 });
  }
  expect(answer({ ifNoneMatch: '"other"' }).status).toBe(200);
});

test("I64 HEAD has the head of the whole and no body", () => {
  const { status, headers, begin, end } = answer({ method: "HEAD", range: "bytes=0-9" });
  expect([status, headers["content-length"], begin, end]).toEqual([200, "1000", 0, 0]);
});

test("a shard's path has its name and nothing else", () => {
  expect(shardNamed(`/shards/${sha256}`)).toBe(sha256);
  for (const path of [`/shards/${sha256}/url`, `/shards/${sha256.toUpperCase()}`, "/shards/", `//shards/${sha256}`]) {
    expect(shardNamed(path)).toBeUndefined();
  }
});

// How much of the data set an address may fetch.

import { expect, test } from "vitest";
import {
  BYTES,
  DownloadLimits,
  downloadRates,
  REMEMBERED_DOWNLOADERS,
  REQUESTS,
  TooMuch,
} from "../../../coordinator/trust/download-limits.ts";
import { MAX_SHARD_BYTES } from "../../../shared/data/dataset.ts";

const small = { requests: { perSecond: 2, burst: 4 }, bytes: { perSecond: 100, burst: 1000 } };

function refusal(take: () => void): TooMuch {
  try {
    take();
  } catch (error) {
    if (error instanceof TooMuch) return error;
  }
  throw new Error("it was not refused");
}

test("I66 an address has so many requests at once, then so many a second, and is told when the next is welcome", () => {
  const limits = new DownloadLimits(small);
  for (let i = 0; i < 4; i++) limits.take(0, "192.0.2.1", 1);
  const { code, message, retrySeconds } = refusal(() => limits.take(0, "192.0.2.1", 1));
  expect([code, message, retrySeconds]).toEqual([
    "RATE_LIMITED",
    expect.stringMatching(/more than 2 pieces.*in 1 s/),
    1,
  ]);
  limits.take(0, "192.0.2.2", 1);
  limits.take(500, "192.0.2.1", 1);
  refusal(() => limits.take(500, "192.0.2.1", 1));
});

test("I66 likewise of bytes; what was refused does not count", () => {
  const limits = new DownloadLimits(small);
  limits.take(0, "192.0.2.1", 900);
  for (let i = 0; i < 3; i++) {
    expect(refusal(() => limits.take(1000 * i, "192.0.2.1", 800)).message).toMatch(/bytes|MiB.* a second/);
  }
  limits.take(7000, "192.0.2.1", 800);
});

test("the addresses of one IPv6 customer are one", () => {
  const limits = new DownloadLimits(small);
  for (let i = 0; i < 4; i++) limits.take(0, `2001:db8::${i}`, 1);
  refusal(() => limits.take(0, "2001:db8::99", 1));
});

test("I66 no more addresses are remembered than the limit says, and none that has nothing to pay back", () => {
  const limits = new DownloadLimits(small);
  for (let i = 0; i < REMEMBERED_DOWNLOADERS + 50; i++) limits.take(0, `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 1);
  expect(limits.size).toBe(REMEMBERED_DOWNLOADERS);
  limits.take(60_000, "192.0.2.1", 1);
  expect(limits.size).toBe(1);
});

test("I66 the limits let a class room train, and the largest shard through", () => {
  expect(downloadRates).toEqual({ requests: REQUESTS, bytes: BYTES });
  expect([REQUESTS.perSecond, REQUESTS.burst, BYTES.perSecond]).toEqual([500, 10_000, 64 * 2 ** 20]);
  expect(BYTES.burst).toBeGreaterThan(MAX_SHARD_BYTES);
});

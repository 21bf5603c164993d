import { expect, test } from "vitest";
import {
  faultOfRanges,
  MAX_LEASE_RANGES,
  microbatchesOf,
  rangesInWords,
  samplesOf,
} from "../../../shared/wire/lease-ranges.ts";
import { decodeCoordinatorMessage, encodeMessage } from "../../../shared/wire/protocol.ts";
import { leaseOf } from "../../worker/session/scripted-run.ts";

const split = { samples: 100, microbatch: 8, most: 4 };
const ranges = [
  { from: 32, to: 48 },
  { from: 0, to: 8 },
  { from: 96, to: 100 },
];

test("ranges are cut into microbatches in their order, the pass's last one short", () => {
  expect(microbatchesOf(ranges, 8)).toEqual([
    { from: 32, to: 40 },
    { from: 40, to: 48 },
    { from: 0, to: 8 },
    { from: 96, to: 100 },
  ]);
  expect(samplesOf(ranges)).toBe(28);
});

test("ranges are told in words, the first few of many", () => {
  expect(rangesInWords(ranges)).toBe("32 to 48, 0 to 8, 96 to 100");
  expect(rangesInWords([...ranges, { from: 8, to: 16 }])).toBe("32 to 48, 0 to 8, 96 to 100 and 1 more");
});

test("a lease of more microbatches than the configuration allows has a fault, one of as many has none", () => {
  expect(faultOfRanges(ranges, split)).toBeUndefined();
  expect(faultOfRanges(ranges, { ...split, most: 3 })).toBe("is of 4 microbatches; lease.maxMicrobatches is 3");
});

test("a lease of no range, or of more than a lease may have, is refused", () => {
  const of = (count: number) => Array.from({ length: count }, (_, i) => ({ from: 8 * i, to: 8 * i + 8 }));
  const told = (count: number) =>
    decodeCoordinatorMessage(encodeMessage(leaseOf(1, "0".repeat(64), { ranges: of(count) })));
  expect(told(MAX_LEASE_RANGES)).toMatchObject({ type: "lease" });
  for (const count of [0, MAX_LEASE_RANGES + 1]) {
    expect(() => told(count)).toThrow(expect.objectContaining({ code: "MESSAGE_INVALID" }));
  }
});

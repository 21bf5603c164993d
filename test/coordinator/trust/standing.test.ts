// Adaptive replication: trust is earned by audits alone, never complete, and lost at once.

import { expect, test } from "vitest";
import {
  auditProbability,
  confirmed,
  contradicted,
  LEAST_AUDIT_PROBABILITY,
  LONGEST_REST_MS,
  mayAudit,
  newcomer,
  REST_MS,
  restMs,
  type Standing,
} from "../../../coordinator/trust/standing.ts";

const after = (audits: number): Standing => Array.from({ length: audits }).reduce<Standing>(confirmed, newcomer);

test("a newcomer is always audited, then with probability 1 / audits in a row, never below 2 %", () => {
  expect([0, 1, 2, 4, 49].map((audits) => auditProbability(after(audits)))).toEqual([1, 1, 1 / 2, 1 / 4, 1 / 49]);
  expect([50, 1000, 1e6].map((consecutiveValid) => auditProbability({ ...newcomer, consecutiveValid }))).toEqual([
    LEAST_AUDIT_PROBABILITY,
    LEAST_AUDIT_PROBABILITY,
    LEAST_AUDIT_PROBABILITY,
  ]);
});

test("one difference starts the count again, and the account rests", () => {
  const fallen = contradicted(1000, after(40));
  expect(auditProbability(fallen)).toBe(1);
  expect(restMs(1000, fallen)).toBe(2 * REST_MS);
  expect(restMs(1000 + 2 * REST_MS, fallen)).toBe(0);
});

test("several differences at once are one strike: it could not have known before", () => {
  const once = contradicted(0, after(3));
  expect(contradicted(1000, once)).toEqual(once);
  expect(contradicted(1000, confirmed(once))).toEqual(once);
});

test("each rest is twice as long as the one before, good work between them notwithstanding, up to an hour", () => {
  let standing = newcomer;
  const rests: number[] = [];
  for (let i = 0; i < 12; i++) {
    const now = i * 2 * LONGEST_REST_MS;
    standing = contradicted(now, confirmed(standing));
    rests.push(restMs(now, standing));
  }
  expect(rests.slice(0, 4)).toEqual([30_000, 60_000, 120_000, 240_000]);
  expect(Math.max(...rests)).toBe(LONGEST_REST_MS);
});

test("a newcomer may audit, and one that was contradicted after 4 audits in a row, after 8 the second time", () => {
  expect(mayAudit(newcomer)).toBe(true);
  for (const [strikes, audits] of [
    [1, 4],
    [2, 8],
  ]) {
    expect(mayAudit({ ...newcomer, strikes, consecutiveValid: audits - 1 })).toBe(false);
    expect(mayAudit({ ...newcomer, strikes, consecutiveValid: audits })).toBe(true);
  }
});

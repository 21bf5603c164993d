import { expect, test } from "vitest";
import {
  LEAST_PIECE_SECONDS,
  MOST_PIECES,
  piecesOf,
  UPLINK_BYTES_PER_SECOND,
  UPLOADS_A_PIECE,
} from "../../../coordinator/round/sizing.ts";
import { parseConfig } from "../../../shared/run/config.ts";

const small = { samples: 4096, contributionBytes: 10_000 };

test("a round of a fraction of a second is leased in whole shares", () => {
  expect(piecesOf({ ...small, samplesPerSecond: 4096 / 0.13 })).toBe(1);
  expect(piecesOf({ ...small, samplesPerSecond: 4096 / (2 * LEAST_PIECE_SECONDS - 0.01) })).toBe(1);
});

test("a longer round is cut into as many pieces as last long enough, and never into more than the most", () => {
  for (let pieces = 1; pieces <= MOST_PIECES; pieces++) {
    expect(piecesOf({ ...small, samplesPerSecond: 4096 / (pieces * LEAST_PIECE_SECONDS) })).toBe(pieces);
  }
  expect(piecesOf({ ...small, samplesPerSecond: 1 })).toBe(MOST_PIECES);
});

test("a piece takes at least twice as long to compute as its contribution to send, so large models come in fewer", () => {
  const tenSeconds = { samples: 4096, samplesPerSecond: 409.6 };
  // ResNet-18: exact, int8 and sign; and what a small network sends.
  for (const [contributionBytes, pieces] of [
    [46_800_000, 1],
    [11_800_000, 1],
    [1_560_000, 3],
    [200_000, 4],
  ]) {
    expect(piecesOf({ ...tenSeconds, contributionBytes })).toBe(pieces);
  }
  const contributionBytes = 3 * UPLINK_BYTES_PER_SECOND;
  const seconds = 3 * UPLOADS_A_PIECE;
  expect(piecesOf({ samples: 100, samplesPerSecond: 100 / (2 * seconds), contributionBytes })).toBe(2);
  expect(piecesOf({ samples: 100, samplesPerSecond: 100 / (2 * seconds - 0.01), contributionBytes })).toBe(1);
});

test("while no speed is known there are the most pieces, and a configuration may say how many instead", () => {
  expect(piecesOf({ ...small, samplesPerSecond: undefined })).toBe(MOST_PIECES);
  expect(parseConfig({}).lease.pieces).toBe("auto");
  expect(parseConfig({ lease: { pieces: 7 } }).lease.pieces).toBe(7);
  expect(() => parseConfig({ lease: { pieces: 0 } })).toThrow("lease.pieces");
  expect(() => parseConfig({ lease: { pieces: "many" } })).toThrow("lease.pieces");
});

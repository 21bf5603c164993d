// A tracker's scores as a page, and the scores in it.

import { expect, test } from "vitest";
import { overlapLine, trackReport } from "../../../coordinator/tracking/report.ts";
import { type ScoredFilm, scoreTracks } from "../../../coordinator/tracking/track-score.ts";

const box = (x: number) => ({ x, y: 10, w: 20, h: 20 });
const film = (name: string, right: number, fields: Partial<ScoredFilm> = {}): ScoredFilm => ({
  name,
  truth: Array.from({ length: 5 }, () => box(10)),
  results: {
    repetitions: [Array.from({ length: 5 }, (_, i) => box(i <= right ? 10 : 60))],
    seconds: [0.1, 0.05, 0.05, 0.05, 0.05],
  },
  resolution: { width: 100, height: 100 },
  ...fields,
});
const facts = { title: "OTB tb50: a tracker", data: "OTB tb50", failed: [] };

test("a page names its protocol, every film with its numbers, and has curves; nothing of it is fetched or run", () => {
  const track = scoreTracks([film("Basketball", 4), film("<script>", 2)], "all");
  const page = trackReport({ ...facts, failed: [{ film: "Biker", message: "error DATA_MISSING: gone" }] }, track);
  expect(page).toContain("Protocol all: every frame counts");
  expect(page).toContain("&lt;script&gt;");
  expect(page).not.toContain("<script");
  expect(page).not.toMatch(/(?:src|href)=/);
  expect(page).toMatch(/Content-Security-Policy" content="default-src 'none'; style-src 'sha256-/);
  expect(page.match(/<polyline class="line s0"/g)?.length).toBeGreaterThanOrEqual(4);
  expect(page).toContain("Biker: error DATA_MISSING: gone");
  expect(page).toContain("0.952");
});

test("of a secret truth a page says that nothing is scored", () => {
  expect(trackReport(facts, undefined)).toContain("nothing is scored here");
});

test("a picture of overlaps has a point a frame, and no more than a page has pixels", () => {
  expect(overlapLine([1, 0, 0.5])).toBe("0.0,0.0 300.0,60.0 600.0,30.0");
  expect(overlapLine([0.5])).toBe("0.0,30.0");
  const long = overlapLine(Array.from({ length: 6000 }, (_, i) => (i % 2 === 0 ? 1 : 0))).split(" ");
  expect(long).toHaveLength(600);
  expect(long[300]).toMatch(/,30\.0$/);
});

test("frames a second are the mean of the films' means, and scores those of the protocol", () => {
  const track = scoreTracks([film("A", 4), film("B", 4)], "got10k");
  expect(track).toMatchObject({ kind: "got10k", score: { ao: 1, sr75: 1, frames: 8 } });
  expect(track.fps).toBeCloseTo((10 + 4 * 20) / 5, 9);
  expect(() => scoreTracks([film("A", 4, { resolution: undefined })], "got10k")).toThrow(/size of its pictures/);
});

test("pictures of overlaps are of boxes cut at the picture where the score is, and whole where it is not", () => {
  // A target that leaves at the right: a box that is as far out as long is half of it.
  const truth = [box(10), { x: 90, y: 10, w: 20, h: 20 }];
  const results = { repetitions: [[box(10), { x: 90, y: 10, w: 10, h: 20 }]], seconds: [] };
  const leaving = film("A", 4, { truth, results });
  expect(scoreTracks([leaving], "got10k").films[0]).toMatchObject({ ao: 1, overlaps: [1, 1] });
  expect(scoreTracks([leaving], "all").films[0]?.overlaps).toEqual([1, 0.5]);
});

test("axes are labelled once a tick, and a curve that is 1 everywhere is drawn", () => {
  const page = trackReport(facts, scoreTracks([film("A", 4)], "all"));
  expect(page).not.toContain("NaN");
  const labels = [...page.matchAll(/text-anchor="end">([^<]*)<\/text>/g)].map(([, label]) => label);
  const axis = ["0", "0.2", "0.4", "0.6", "0.8", "1"];
  expect(labels).toEqual([...axis, ...axis]);
});

test("a stochastic tracker's repetitions all count", () => {
  const { results } = film("A", 4);
  const poor = film("A", 0).results.repetitions[0];
  const twice = { ...film("A", 4), results: { ...results, repetitions: [results.repetitions[0], poor] } };
  const got10k = scoreTracks([twice], "got10k");
  expect(got10k).toMatchObject({ score: { ao: 0.5, frames: 8 } });
  const all = scoreTracks([twice], "all");
  expect(all).toMatchObject({ kind: "pass", score: { sr50: 0.6 } });
});

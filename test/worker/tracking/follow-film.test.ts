// A film followed from its first frame to its last, on a network that the processor computes.

import { afterAll, beforeAll, expect, test } from "vitest";
import { writePpm } from "../../../shared/image/ppm.ts";
import type { Backbone } from "../../../shared/tracking/backbone.ts";
import { trackOptions } from "../../../shared/tracking/track-step.ts";
import { MAX_TRACKED_BOXES, type TrackedFrame } from "../../../shared/wire/tracking.ts";
import { type FollowOptions, followFilm } from "../../../worker/tracking/follow-film.ts";
import { FRAMES_AHEAD, FramesAhead } from "../../../worker/tracking/frames-ahead.ts";
import { drawnTracker } from "../../fixtures/drawn-tracker.ts";
import { filmPorts } from "../../fixtures/film-worker.ts";

let backbone: Backbone;
beforeAll(async () => {
  backbone = await filmPorts.openBackbone(drawnTracker());
});
afterAll(() => backbone.dispose());

const picture = (width = 40, height = 30) =>
  writePpm({ width, height, rgb: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 251) });

/** A film of these files, on a clock that each look moves by a tenth of a second. */
async function follow(files: readonly Uint8Array[], more: Partial<FollowOptions> = {}) {
  const told: { readonly from: number; readonly frames: readonly TrackedFrame[] }[] = [];
  const left = [...files];
  let now = 0;
  const followed = await followFilm({
    film: { sequence: "drawn", base: 1, box: { x: 10, y: 8, w: 9, h: 11 } },
    options: trackOptions,
    backbone,
    jpeg: await filmPorts.openJpeg(),
    next: async () => left.shift(),
    now: () => {
      now += 100;
      return now;
    },
    rest: async () => undefined,
    aborted: () => false,
    tell: (from, frames) => void told.push({ from, frames }),
    ...more,
  });
  return { followed, told };
}

test("boxes are said as it goes, in order and once, and seconds are those of the tracker", async () => {
  const { followed, told } = await follow([picture(), picture(), picture(), picture()]);
  expect(followed).toBe(4);
  let next = 0;
  for (const { from, frames } of told) {
    expect(from).toBe(next);
    expect(frames.length).toBeLessThanOrEqual(MAX_TRACKED_BOXES);
    next += frames.length;
  }
  expect(next).toBe(4);
  const all = told.flatMap(({ frames }) => frames);
  expect(all[0].box).toEqual({ x: 10, y: 8, w: 9, h: 11 });
  expect(all.map(({ seconds }) => seconds)).toEqual([0.1, 0.1, 0.1, 0.1]);
});

test("after each frame the device rests for as long as it is told to, and one that is taken away ends at once", async () => {
  const rests: number[] = [];
  let taken = false;
  const { followed, told } = await follow([picture(), picture(), picture()], {
    rest: async (busyMs) => {
      rests.push(busyMs);
      taken = rests.length === 2;
    },
    aborted: () => taken,
  });
  expect(rests).toEqual([100, 100]);
  expect(followed).toBe("aborted");
  expect(told).toEqual([]);
});

test("a frame of another size, or that is no picture, is DATA_INVALID by film and number", async () => {
  await expect(follow([picture(), picture(41)])).rejects.toThrow(/frame 2 of drawn has 41 × 30 pixels/);
  await expect(follow([picture(), picture().subarray(0, 900)])).rejects.toMatchObject({ code: "DATA_INVALID" });
  await expect(follow([new Uint8Array(10)])).rejects.toMatchObject({ code: "DATA_INVALID" });
});

test("so many frames are fetched ahead and no more, in order; none after the end", async () => {
  const hashes = Array.from({ length: 20 }, (_, i) => String(i));
  const asked: string[] = [];
  let signal: AbortSignal | undefined;
  const frames = new FramesAhead({
    hashes,
    fetchFrame: async (hash, ending) => {
      asked.push(hash);
      signal = ending;
      return Uint8Array.of(Number(hash));
    },
  });
  expect(asked).toEqual(hashes.slice(0, FRAMES_AHEAD));
  expect(await frames.next()).toEqual(Uint8Array.of(0));
  expect(asked).toHaveLength(FRAMES_AHEAD + 1);
  for (let i = 1; i < 20; i++) expect(await frames.next()).toEqual(Uint8Array.of(i));
  expect(await frames.next()).toBeUndefined();
  frames.close();
  expect([asked, signal?.aborted]).toEqual([hashes, true]);
});

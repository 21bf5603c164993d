// What the page that follows decides: where a box is, what it is about, whether a target is lost, how fast films play.

import { expect, test } from "vitest";
import { draggedBox, firstBox, isTarget, keyedBox, LEAST_SIDE, pointIn } from "../../../../worker/demo/track/aim.ts";
import { frameSize, MOST_SIDE, withoutAlpha } from "../../../../worker/demo/track/frames.ts";
import { heatMaps } from "../../../../worker/demo/track/heat.ts";
import { Pace, playRate } from "../../../../worker/demo/track/pace.ts";
import { afterwards, type Happening, type Phase } from "../../../../worker/demo/track/phase.ts";
import { heightOf, Sureness } from "../../../../worker/demo/track/sureness.ts";
import { boxText, paceText, phaseText, scaleName, sureText } from "../../../../worker/demo/track/words.ts";

const picture = { width: 320, height: 240 };

test("a pointer is where it is in the picture, which stands as large as fits in the middle of its field", () => {
  const field = { left: 10, top: 20, width: 640, height: 240 };
  const at = (clientX: number, clientY: number) => pointIn({ clientX, clientY }, field, picture);
  expect(at(10 + 160, 20)).toEqual({ x: 0, y: 0 });
  expect(at(10 + 480, 20 + 240)).toEqual({ x: 320, y: 240 });
  expect(at(0, 1000)).toEqual({ x: 0, y: 240 });
  expect(pointIn({ clientX: 50, clientY: 150 }, { left: 0, top: 0, width: 100, height: 300 }, picture)).toEqual({
    x: 160,
    y: 120,
  });
});

test("a box is dragged from any corner, and one that is too small is none", () => {
  const box = draggedBox({ x: 50, y: 10 }, { x: 20, y: 90 });
  expect(box).toEqual({ x: 20, y: 10, w: 30, h: 80 });
  expect([isTarget(box), isTarget({ ...box, w: LEAST_SIDE - 1 })]).toEqual([true, false]);
});

test("arrows move a box, with Shift they change its size, and it stays in the picture and large enough", () => {
  const box = firstBox(picture);
  expect(box).toEqual({ x: 130, y: 90, w: 60, h: 60 });
  expect(keyedBox(box, "ArrowLeft", false, picture)).toEqual({ ...box, x: 125 });
  expect(keyedBox(box, "ArrowDown", true, picture)).toEqual({ ...box, h: 65 });
  expect(keyedBox(box, "a", false, picture)).toBeUndefined();
  let moved = box;
  for (let i = 0; i < 100; i++) moved = keyedBox(moved, "ArrowRight", false, picture)!;
  expect(moved).toEqual({ ...box, x: 260 });
  for (let i = 0; i < 100; i++) moved = keyedBox(moved, "ArrowRight", true, picture)!;
  expect(moved.x + moved.w).toBe(320);
  for (let i = 0; i < 100; i++) moved = keyedBox(moved, "ArrowUp", true, picture)!;
  expect(moved.h).toBe(LEAST_SIDE);
});

test("what happens leads on from phase to phase, and what makes no sense changes nothing", () => {
  const after = (...happenings: readonly Happening[]) => happenings.reduce<Phase>(afterwards, "empty");
  expect(after("aimed", "paused")).toBe("empty");
  expect(after("opened", "aimed")).toBe("following");
  expect(after("opened", "aimed", "paused", "resumed", "ended")).toBe("over");
  expect(after("opened", "aimed", "paused", "aimed")).toBe("following");
  expect(after("opened", "aimed", "ended", "aimed")).toBe("following");
  expect(after("opened", "aimed", "reset")).toBe("aiming");
  expect(after("opened", "resumed")).toBe("aiming");
  expect(after("opened", "aimed", "closed")).toBe("empty");
});

/** Flat but for noise, with one place that stands out by so much. */
const map = (height: number) => Float32Array.from({ length: 289 }, (_, i) => (i === 144 ? height : (i % 7) / 7));

test("a target is taken for lost where its response stands out by a third of what it did, for some frames", () => {
  expect(heightOf(new Float32Array(9).fill(3))).toBe(0);
  const sure = new Sureness();
  for (let i = 0; i < 4; i++) sure.add(map(9));
  expect([sure.share, sure.lost]).toEqual([undefined, false]);
  for (let i = 0; i < 10; i++) sure.add(map(9));
  expect([sure.share, sure.lost]).toEqual([1, false]);
  sure.add(map(1));
  expect(sure.lost).toBe(false);
  for (let i = 0; i < 10; i++) sure.add(map(1));
  expect(sure.lost).toBe(true);
});

test("a film plays at its own speed where frames come fast enough, and else as slowly as it takes", () => {
  expect([undefined, 60, 12, 11, 6, 3, 0.1].map(playRate)).toEqual([1, 1, 1, 0.5, 0.5, 0.25, 0.0625]);
  const pace = new Pace();
  expect(pace.perSecond).toBeUndefined();
  for (const at of [0, 100, 200, 300]) pace.add(at);
  expect(pace.perSecond).toBe(10);
  pace.clear();
  expect(pace.perSecond).toBeUndefined();
});

test("frames are no larger than they need be, and maps are coloured by one scale", () => {
  expect(frameSize({ width: 1920, height: 1080 })).toEqual({ width: MOST_SIDE, height: 540 });
  expect(frameSize(picture)).toEqual(picture);
  expect([...withoutAlpha(Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 0))]).toEqual([1, 2, 3, 4, 5, 6]);
  const [low, high] = heatMaps(Float32Array.of(0, 0, 1, 0.5), 2);
  expect([...low!]).toEqual([16, 20, 44, 255, 16, 20, 44, 255]);
  expect([...high!.subarray(0, 4)]).toEqual([255, 240, 190, 255]);
  expect(heatMaps(new Float32Array(4), 2)[1]![3]).toBe(255);
});

test("what is said", () => {
  expect(phaseText("following", true, false)).toContain("may be lost");
  expect(phaseText("empty", false, true)).toContain("camera");
  expect(paceText(5.27, 0.25)).toBe("5.3 frames a second; the film plays at 1/4 of its speed to keep up");
  expect(paceText(undefined, 1)).toBe("");
  expect(paceText(31.4, 1)).toBe("31 frames a second");
  expect([sureText(undefined, false), sureText(0.42, true)]).toEqual(["–", "42 %: it may have lost the target"]);
  expect([0, 1, 2].map((scale) => scaleName(scale, 3))).toEqual(["smaller", "same size", "larger"]);
  expect(boxText({ x: 1.6, y: -3.2, w: 10.4, h: 20 })).toBe("10 × 20 pixels at 2, -3");
});

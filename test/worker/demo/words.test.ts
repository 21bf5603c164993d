// What the demo says of answers, times and sizes; and what a stranger's listing may hold.

import { expect, test } from "vitest";
import { cameraTrouble } from "../../../worker/demo/camera.ts";
import { readListing } from "../../../worker/demo/listing.ts";
import { likeliest } from "../../../worker/demo/networks.ts";
import { typicalMs } from "../../../worker/demo/times.ts";
import { answerText, percent, scoreText, sizeText, timeText } from "../../../worker/demo/words.ts";

test("the likeliest classes come first, and their shares are those of all classes", () => {
  const found = likeliest(Float32Array.of(0, Math.log(3), -1000), ["a", "b"]);
  expect(found.map(({ label }) => label)).toEqual(["b", "a", "2"]);
  expect(found[0].probability).toBeCloseTo(0.75);
  expect(answerText(found)).toBe("b, 75 %");
  expect(answerText([])).toBe("–");
});

test("numbers are told as precisely as they are known", () => {
  expect([0, 1e-9, 0.004, 0.0996, 0.5].map(percent)).toEqual(["0 %", "< 0.1 %", "0.4 %", "10 %", "50 %"]);
  expect([0.9004, 0.967, 0.9968, 0.99949, 0.9999, 1].map(percent)).toEqual([
    "90 %",
    "96.7 %",
    "99.7 %",
    "99.9 %",
    "> 99.9 %",
    "100 %",
  ]);
  expect([undefined, 0.02, 0.42, 9.6, 42.4].map(timeText)).toEqual(["–", "under 0.1 ms", "0.4 ms", "9.6 ms", "42 ms"]);
  expect(typicalMs([])).toBeUndefined();
  expect(typicalMs([9, 1, 2])).toBe(2);
  expect(scoreText(undefined)).toBe("not measured yet");
  expect(scoreText({ name: "accuracy", value: 0.8234 })).toBe("82.3 % right");
  const sizes = { bytes: 1024, fullPrecisionBytes: 15_360 };
  expect(sizeText({ sizes, network: { name: "student", title: "s", precision: "method" } })).toBe(
    "1.00 KiB, 15.0 times smaller than in floats",
  );
  expect(sizeText({ sizes, network: { name: "teacher", title: "t", precision: "full" } })).toBe("1.00 KiB");
});

test("a listing names networks and nothing else, since files are fetched by these names", () => {
  const good = { title: "Clothes", networks: ["student", "teacher"] };
  expect(readListing(good)).toEqual(good);
  for (const bad of [null, [], { title: "x" }, { ...good, networks: ["../x"] }, { ...good, networks: [1] }]) {
    expect(readListing(bad)).toBeUndefined();
  }
});

test("why a camera gives no picture is said with what to do", () => {
  expect(cameraTrouble(new TypeError("x"), false)).toContain("https and localhost");
  expect(cameraTrouble({ name: "NotAllowedError" }, true)).toContain("Allow it");
  expect(cameraTrouble({ name: "NotFoundError" }, true)).toContain("No camera");
});

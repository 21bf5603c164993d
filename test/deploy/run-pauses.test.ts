// The checker of a cluster's run sees who led, and how long nothing was committed.

import { expect, test } from "vitest";
import { leadProblems, longestPauses, whoLed } from "../../deploy/cluster/run-pauses.mjs";

const history = (...rows: readonly (readonly [number, number])[]) =>
  [{ history: 1, after: 0 }, ...rows.map(([step, time]) => [0, step, time, 0.5])]
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");
const events = (...lines: readonly unknown[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join("");

test("longestPauses counts a step from when any coordinator had it, and tells the longest first", () => {
  const told = [
    { history: history([1, 1000], [2, 1200], [3, 1400]), events: "" },
    { history: history([2, 1250], [3, 1390], [4, 4300], [5, 4500]), events: "" },
  ];
  expect(longestPauses(told)).toEqual([
    { step: 4, ms: 2910 },
    { step: 2, ms: 200 },
    { step: 5, ms: 200 },
    { step: 3, ms: 190 },
  ]);
});

test("longestPauses counts no time over steps that nobody told of, rows of layers, or a line that was cut off", () => {
  const text = `${history([1, 1000], [4, 9000])}[1,5,9500,1]\n{"pass"\n[0,5,9100,1]\n[0,6,99`;
  expect(longestPauses([{ history: text, events: "" }])).toEqual([{ step: 5, ms: 100 }]);
});

test("whoLed has leaders in order of their epochs, and two of one epoch are wrong", () => {
  const leads = (id: string, epoch: number, step: number) => ({ time: "", type: "leads", id, epoch, step });
  const told = [
    { history: "", events: events(leads("c-0", 1, 0), { type: "notice" }, leads("c-0", 3, 9)) },
    { history: "", events: events({ type: "follows" }, leads("c-1", 2, 5)) },
  ];
  const led = whoLed(told);
  expect(led.map(({ id, epoch, step }) => `${id} ${epoch} ${step}`)).toEqual(["c-0 1 0", "c-1 2 5", "c-0 3 9"]);
  expect(leadProblems(led)).toEqual([]);
  const twice = whoLed([...told, { history: "", events: events(leads("c-1", 3, 9)) }]);
  expect(leadProblems(twice)).toEqual(["c-0 and c-1 both led with epoch 3"]);
});

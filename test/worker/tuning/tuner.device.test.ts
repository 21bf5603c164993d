// The tuner on a real device: it measures within its budget, remembers, and leaves out what a bad driver makes of a
// tiling.

import { expect, onTestFinished, test } from "vitest";
import { convolutionPass, tilings } from "../../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../../kernels/convolution/pass/tiling.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { smallInstance } from "../../../worker/tuning/pass-operands.ts";
import { Tuner } from "../../../worker/tuning/tuner.ts";
import type { TuningEvent } from "../../../worker/tuning/tuning-event.ts";
import { untuned } from "../../../worker/tuning/tuning-options.ts";
import { TuningMemory } from "../../../worker/tuning/tuning-store.ts";
import { badDriver } from "../../fixtures/bad-driver.ts";
import { freshDevice, testDevice, withErrorScopes } from "../../fixtures/device.ts";

const shape = { n: 4, h: 5, w: 5, in: 8, out: 12, kernel: 3, stride: 1, padding: 1 };
const large: ConvolutionPass = { verb: "convForward", shape: { ...shape, n: 8 }, bias: false };
const little: ConvolutionPass = { verb: "binaryConvForward", shape, rectify: "kernel" };
const speck: ConvolutionPass = {
  verb: "convForward",
  shape: { ...shape, n: 1, h: 1, w: 1, in: 4, out: 4, kernel: 1, padding: 0 },
  bias: true,
};
const { traits } = untuned();
const never = () => false;

function tunerOn(device: GPUDevice, memory: TuningMemory, budgetMs: number, now = () => performance.now()) {
  const events: TuningEvent[] = [];
  const tuner = new Tuner({
    ...untuned(),
    key: "test",
    memory,
    budgetMs,
    onEvent: (event) => events.push(event),
    cache: new PipelineCache(device),
    now,
  });
  return { tuner, events };
}

const emptyMemory = () => new TuningMemory(undefined, () => undefined);

/** The text that a check of this tiling compiles. */
function checkedText(pass: ConvolutionPass, tiling: Tiling): string {
  return convolutionPass(smallInstance(pass, 2 ** 22), tiling).kernels[0].wgsl;
}

test("the largest passes are measured, specks are not, and a second tuner finds all of it remembered", async () => {
  const device = await testDevice();
  const memory = emptyMemory();
  const first = tunerOn(device, memory, 60_000);
  await withErrorScopes(device, () => first.tuner.measure([speck, little, large], never));
  expect(first.events).toEqual([
    { type: "tuning", stage: "measuring", done: 0, passes: 2 },
    { type: "tuning", stage: "measuring", done: 1, passes: 2 },
    { type: "tuning", stage: "measured", passes: 2, left: 0, refused: [] },
  ]);
  const { passes } = await memory.load("test");
  expect(passes.map(({ pass }) => pass)).toEqual([passKey(large), passKey(little)]);
  for (const [i, pass] of [large, little].entries()) {
    const names = tilings(pass, traits).map(tilingName);
    expect(Object.keys(passes[i].ms).sort()).toEqual(names.sort());
  }
  const second = tunerOn(device, memory, 60_000);
  await second.tuner.measure([speck, little, large], never);
  expect(second.events).toEqual([]);
  const choose = await second.tuner.recall([large]);
  const [[fastest]] = Object.entries(passes[0].ms).sort(([, a], [, b]) => a - b);
  expect(tilingName(choose(large)!)).toBe(fastest);
  expect((await second.tuner.remembered([speck]))(speck)).toEqual(tilings(speck, traits)[0]);
});

test("a budget is kept within a pass, compiling counted; the next visit goes on where it ended", async () => {
  const device = await testDevice();
  const memory = emptyMemory();
  // Every look at this clock is 10 ms: what a device does with its time is not the question.
  const ticking = (budgetMs: number) => {
    let clock = 0;
    return { ...tunerOn(device, memory, budgetMs, () => (clock += 10)), spent: () => clock };
  };
  const known = async () => Object.keys((await memory.load("test")).passes[0]?.ms ?? {}).length;
  const brief = ticking(400);
  await brief.tuner.measure([little, large], never);
  expect(brief.events.at(-1)).toMatchObject({ stage: "measured", passes: 0, left: 2 });
  // Twice the budget, and what the last look began.
  expect(brief.spent()).toBeLessThanOrEqual(2 * 400 + 100);
  const first = await known();
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThan(tilings(large, traits).length);
  const again = ticking(400);
  await again.tuner.measure([little, large], never);
  expect(await known()).toBeGreaterThan(first);
  const none = tunerOn(device, emptyMemory(), 0);
  await none.tuner.measure([little, large], never);
  expect(none.events).toEqual([]);
  expect((await none.tuner.recall([large]))(large)).toEqual(tilings(large, traits)[0]);
});

test("a tiling that computes something else, and one that does not compile, are left out and remembered", async () => {
  const [wrong, uncompiled, good] = tilings(large, traits);
  const device = badDriver(await testDevice(), {
    compile: (wgsl) => {
      if (wgsl === checkedText(large, wrong)) return wgsl.replace(/let index = .*;/, "$& if (index == 1u) { return; }");
      return wgsl === checkedText(large, uncompiled) ? `${wgsl} nonsense` : wgsl;
    },
  });
  const memory = emptyMemory();
  const { tuner, events } = tunerOn(device, memory, 60_000);
  await tuner.measure([large], never);
  const left = [
    `${passKey(large)} ${tilingName(wrong)}: wrong`,
    `${passKey(large)} ${tilingName(uncompiled)}: compile`,
  ];
  expect(events.at(-1)).toEqual({ type: "tuning", stage: "measured", passes: 1, left: 0, refused: left });
  const choose = await tunerOn(device, memory, 0).tuner.recall([large]);
  expect([wrong, uncompiled]).not.toContainEqual(choose(large));
  expect(tilings(large, traits)).toContainEqual(good);
});

test("on a suspected device what is in use is checked, and the naive kernel is what is left", async () => {
  const texts = new Set(tilings(large, traits).map((tiling) => checkedText(large, tiling)));
  const device = badDriver(await testDevice(), {
    compile: (wgsl) => (texts.has(wgsl) ? wgsl.replace(/let index = .*;/, "$& if (index == 0u) { return; }") : wgsl),
  });
  const { tuner, events } = tunerOn(device, emptyMemory(), 0);
  expect((await tuner.recall([large]))(large)).toEqual(tilings(large, traits)[0]);
  tuner.suspect();
  const choose = await tuner.recall([large, little]);
  expect(choose(large)).toEqual(NAIVE);
  expect(choose(little)).toEqual(tilings(little, traits)[0]);
  expect(events.map(({ stage }) => stage)).toEqual(["checking", "checked"]);
  await tuner.recall([large, little]);
  expect(events).toHaveLength(2);
});

test("what runs when the device is lost is left out on the next one; a device that we close blames nothing", async () => {
  // The first that meets the one which everyone begins with.
  const suspects = tilings(large, traits).slice(1, 2);
  for (const reason of ["unknown", "destroyed"] as const) {
    const real = await freshDevice();
    onTestFinished(() => real.destroy());
    let lose = (_: GPUDeviceLostInfo) => {};
    const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
      lose = resolve;
    });
    const device = badDriver(real, {
      lost,
      compile: (wgsl) => {
        if (wgsl === checkedText(large, suspects[0])) lose({ reason, message: "hung" } as GPUDeviceLostInfo);
        return wgsl;
      },
    });
    const memory = emptyMemory();
    const { tuner } = tunerOn(device, memory, 60_000);
    await expect(tuner.measure([large], never)).rejects.toMatchObject({ code: "DEVICE_LOST" });
    const [entry] = (await memory.load("test")).passes;
    const blamed = Object.fromEntries(suspects.map((tiling) => [tilingName(tiling), "lost"]));
    expect(entry?.refused).toEqual(reason === "unknown" ? blamed : undefined);
  }
});

// Element-wise verbs, and the grid that every kernel uses, beyond 65,535 workgroups.
import { expect, test } from "vitest";
import { add, addTo } from "../../kernels/layers/elementwise.ts";
import { gridFor, kernel, MAX_WORKGROUPS, readWrite } from "../../kernels/text/dispatch.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";

test.each([1, 3, 4, 63, 64, 65, 1000])("add and addTo of %d elements", async (size) => {
  const device = await testDevice();
  const a = uniform(size, 1);
  const b = uniform(size, 2);
  const sum = a.map((v, i) => v + b[i]!);
  expect((await runKernels(device, add({ size }), { a, b, y: new Float32Array(size) })).y).toEqual(sum);
  expect((await runKernels(device, addTo({ size }), { x: a, y: b })).y).toEqual(sum);
});

test("a kernel leaves what lies behind its items alone", async () => {
  const x = new Float32Array(80).fill(1);
  const y = new Float32Array(80).fill(7);
  const result = await runKernels(await testDevice(), addTo({ size: 67 }), { x, y });
  expect(result.y).toEqual(y.map((v, i) => (i < 67 ? 8 : v)));
});

test("gridFor covers every item within the limit of each dimension", () => {
  for (const items of [0, 1, 64, 65, 64 * MAX_WORKGROUPS, 64 * MAX_WORKGROUPS + 1, 2 ** 31]) {
    const { grid } = gridFor(items, 64);
    expect(Math.max(...grid)).toBeLessThanOrEqual(MAX_WORKGROUPS);
    expect(grid[0] * grid[1] * grid[2] * 64).toBeGreaterThanOrEqual(items);
  }
});

test("a grid past 65,535 workgroups visits every item once", async () => {
  const items = 3 * (MAX_WORKGROUPS + 2);
  const visit = kernel({
    label: "visit",
    storage: [readWrite("y", "atomic<u32>")],
    items,
    workgroupSize: 1,
    body: "atomicAdd(&y[index], 1u);",
  });
  expect(visit.grid[1]).toBeGreaterThan(1);
  const { y } = await runKernels(await testDevice(), visit, { y: new Uint32Array(items + 5) });
  expect(y).toEqual(new Uint32Array(items + 5).map((_, i) => (i < items ? 1 : 0)));
});

test("add past 65,535 workgroups of 64", async () => {
  const size = 64 * MAX_WORKGROUPS + 131;
  const a = new Float32Array(size).fill(1);
  const { y } = await runKernels(await testDevice(), addTo({ size }), { x: a, y: new Float32Array(size) });
  expect(y.indexOf(0)).toBe(-1);
  expect(Math.max(y[0]!, y[size - 1]!, y[64 * MAX_WORKGROUPS]!)).toBe(1);
});

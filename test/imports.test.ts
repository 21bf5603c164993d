// The house's import rules: no cycles, and each folder imports only what the architecture lets it.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fileCycles, importGraph, WINGS, type Wing, wingOf } from "./rooms.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const allowed: Readonly<Record<Wing, readonly string[]>> = {
  shared: ["shared"],
  kernels: ["kernels", "shared"],
  worker: ["worker", "kernels", "shared"],
  coordinator: ["coordinator", "shared"],
};

const graph = importGraph(root, WINGS);

test("every import of ours names a file that is there", () => {
  const missing = [...graph].flatMap(([file, imports]) =>
    imports
      .filter(({ target }) => target.endsWith(".ts") && !graph.has(target))
      .map(({ target }) => `${file} → ${target}`),
  );
  expect(missing.filter((line) => !line.includes(".d.ts"))).toEqual([]);
});

test("each wing imports only what lies below it", () => {
  const against = [...graph].flatMap(([file, imports]) =>
    imports
      .filter(({ target }) => !allowed[wingOf(file) as Wing].includes(wingOf(target)))
      .map(({ target }) => `${file} → ${target}`),
  );
  expect(against).toEqual([]);
});

test("there is no import cycle", () => {
  expect(fileCycles(graph, { types: false })).toEqual([]);
});

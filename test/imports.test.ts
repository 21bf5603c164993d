// The house's import rules: no cycles, and each folder imports only what the architecture lets it.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fileCycles, importGraph, WINGS, type Wing, wingOf } from "./rooms.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Two folders of the coordinator stand above the wings: the simulation plays both, and the program offers it. */
const above = ["coordinator/simulate", "coordinator/program"] as const;
const allowed: Readonly<Record<Wing | (typeof above)[number], readonly string[]>> = {
  shared: ["shared"],
  kernels: ["kernels", "shared"],
  worker: ["worker", "kernels", "shared"],
  coordinator: ["coordinator", "shared"],
  "coordinator/simulate": ["coordinator/simulate", "coordinator", "worker", "shared"],
  "coordinator/program": ["coordinator/program", "coordinator/simulate", "coordinator", "shared"],
};
type Project = keyof typeof allowed;

function projectOf(file: string): Project {
  return above.find((folder) => file.startsWith(`${folder}/`)) ?? (wingOf(file) as Wing);
}

const graph = importGraph(root, WINGS);

test("every import of ours names a file that is there", () => {
  const missing = [...graph].flatMap(([file, imports]) =>
    imports
      .filter(({ target }) => target.endsWith(".ts") && !graph.has(target))
      .map(({ target }) => `${file} → ${target}`),
  );
  expect(missing.filter((line) => !line.includes(".d.ts"))).toEqual([]);
});

test("each wing, and each of the two folders above them, imports only what lies below it", () => {
  const against = [...graph].flatMap(([file, imports]) =>
    imports
      .filter(({ target }) => !allowed[projectOf(file)].includes(projectOf(target)))
      .map(({ target }) => `${file} → ${target}`),
  );
  expect(against).toEqual([]);
});

test("there is no import cycle", () => {
  expect(fileCycles(graph, { types: false })).toEqual([]);
});

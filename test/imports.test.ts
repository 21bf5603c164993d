// The house's import rules: no cycles, and each folder imports only what the architecture lets it.
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { arrows, bothWays, fileCycles, importGraph, roomOf, WINGS, type Wing, wingOf } from "./rooms.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Two folders of the coordinator stand above the wings: the simulation plays both, and the program offers it. */
const above = ["coordinator/simulate", "coordinator/program"] as const;
const allowed: Readonly<Record<Wing | (typeof above)[number], readonly string[]>> = {
  shared: ["shared"],
  kernels: ["kernels", "shared"],
  worker: ["worker", "kernels", "shared"],
  coordinator: ["coordinator", "shared"],
  "coordinator/simulate": ["coordinator/simulate", "coordinator", "worker", "shared"],
  "coordinator/program": ["coordinator/program", "coordinator/simulate", "coordinator", "worker", "shared"],
};
type Project = keyof typeof allowed;

function projectOf(file: string): Project {
  return above.find((folder) => file.startsWith(`${folder}/`)) ?? (wingOf(file) as Wing);
}

/**
 * The floors of each wing, lowest first: a room imports only rooms on lower floors, type imports counted. A file that
 * lies straight in its wing is a room of its own.
 */
const floors: Readonly<Record<Wing, readonly (readonly string[])[]>> = {
  shared: [
    ["base", "assembler"],
    ["codecs", "data", "image", "model"],
    ["tracking"],
    ["model/objectives"],
    ["model/methods", "tasks"],
    ["export", "model/networks"],
    ["run"],
    ["samples", "wire"],
    ["wire/transfer"],
  ],
  kernels: [
    ["text"],
    ["product", "convolution/pass"],
    ["convolution/registers", "layers", "inference"],
    ["convolution/naive", "convolution/workgroup", "losses", "steps"],
    ["convolution"],
  ],
  worker: [
    ["backoff.ts", "clock.ts", "device.ts", "pipeline-cache.ts"],
    ["content", "plan", "inference/program"],
    ["tasks", "tracking", "tuning", "inference/wasm", "inference/webgpu"],
    ["trainer", "inference"],
    ["session"],
    ["platform", "platform/node/doctor"],
    ["platform/browser", "platform/deno", "platform/node"],
    ["demo", "web"],
    ["demo/track"],
  ],
  coordinator: [
    ["base", "classroom/page", "cluster", "disk", "round", "sum/reduction"],
    ["cluster/http", "sum", "store", "import/formats", "sequences", "tls"],
    ["cluster/nats", "data/importers", "inspect"],
    ["data", "import/layouts", "import/convert"],
    ["data-checks", "trust", "import"],
    ["state"],
    ["checkpoint", "export/onnx"],
    ["predict", "training"],
    ["engine"],
    ["engine/local", "history", "metrics", "session"],
    ["server", "gateway"],
    ["engine/nats"],
    ["classroom", "run"],
    ["compare", "dashboard", "demo"],
    ["dashboard/page", "tracking"],
    ["simulate"],
    ["program"],
  ],
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

describe.each(Object.entries(floors))("in %s", (wing, storeys) => {
  const floorOf = (room: string) => storeys.findIndex((rooms) => rooms.includes(room.slice(wing.length + 1)));

  test("each room stands on one floor", () => {
    const rooms = new Set([...graph.keys()].filter((file) => wingOf(file) === wing).map(roomOf));
    expect([...rooms].sort()).toEqual(
      storeys
        .flat()
        .map((room) => `${wing}/${room}`)
        .sort(),
    );
  });

  test("each room has a README that says what belongs there", () => {
    const folders = storeys.flat().filter((room) => !room.endsWith(".ts"));
    expect(folders.filter((room) => !existsSync(path.join(root, wing, room, "README.md")))).toEqual([]);
  });

  test("a room imports only rooms on lower floors, type imports counted", () => {
    const up = arrows(graph, wing).filter(({ from, to }) => floorOf(to) >= floorOf(from));
    expect(up.flatMap(({ files }) => files)).toEqual([]);
  });

  test("no two rooms import each other, and no files in a circle, type imports counted", () => {
    expect(bothWays(arrows(graph, wing))).toEqual([]);
    const within = new Map([...graph].filter(([file]) => wingOf(file) === wing));
    expect(fileCycles(within, { types: true })).toEqual([]);
  });
});

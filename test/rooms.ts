// Counts the rooms of the house and the arrows between them: who imports whom, and how many arrows run against any
// order. Prints JSON: node dist/test/rooms.js [folder of a checkout]

import { readdirSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const WINGS = ["shared", "kernels", "worker", "coordinator"] as const;
export type Wing = (typeof WINGS)[number];

export interface Import {
  /** Path from the root of the checkout. */
  readonly target: string;
  readonly typeOnly: boolean;
}

/** The imports of each file of ours, by its path from the root; `export … from` counts, and so does `import("…")`. */
export type ImportGraph = ReadonlyMap<string, readonly Import[]>;

/** Paths of the TypeScript files in a folder of the checkout and all below it. */
export function sources(root: string, folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Paths of everything that runs: TypeScript and plain scripts, of every wing, of the tests and of deploy/. */
export function programFiles(root: string): string[] {
  return [...WINGS, "test", "deploy"].flatMap((folder) =>
    readdirSync(path.join(root, folder), { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile() && /\.m?[jt]s$/.test(entry.name))
      .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name))),
  );
}

const IMPORT =
  /^(?:import|export)\s+(type\s)?[^;"']*?from\s+"(\.[^"]+)"|^import\s+"(\.[^"]+)"|\bimport\("(\.[^"]+)"\)/gm;

function importsOf(root: string, file: string): Import[] {
  return [...readFileSync(path.join(root, file), "utf8").matchAll(IMPORT)].map((match) => ({
    target: path.normalize(path.join(path.dirname(file), match[2] ?? match[3] ?? match[4])),
    typeOnly: match[1] !== undefined,
  }));
}

export function importGraph(root: string, folders: readonly string[]): ImportGraph {
  return new Map(folders.flatMap((folder) => sources(root, folder)).map((file) => [file, importsOf(root, file)]));
}

export function wingOf(file: string): string {
  return file.split(path.sep)[0];
}

/** A file's folder; a file that lies straight in its wing is a room of its own. */
export function roomOf(file: string): string {
  const folder = path.dirname(file);
  return folder === wingOf(file) ? file : folder;
}

/** An import across a wall, with the files on both sides. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  readonly files: readonly string[];
}

/** Arrows between the rooms of one wing, each pair of rooms once, type imports counted. */
export function arrows(graph: ImportGraph, wing: string): Arrow[] {
  const found = new Map<string, { from: string; to: string; files: string[] }>();
  for (const [file, imports] of graph) {
    for (const { target } of imports) {
      const [from, to] = [roomOf(file), roomOf(target)];
      if (wingOf(file) !== wing || wingOf(target) !== wing || from === to || !graph.has(target)) continue;
      const arrow = found.get(`${from} ${to}`) ?? { from, to, files: [] };
      arrow.files.push(`${file} → ${target}`);
      found.set(`${from} ${to}`, arrow);
    }
  }
  return [...found.values()];
}

/** Pairs of rooms that import each other. */
export function bothWays(all: readonly Arrow[]): Arrow[] {
  return all.filter((a) => a.from < a.to && all.some((b) => b.from === a.to && b.to === a.from));
}

/** Circles of files, each as the path around it, type imports counted where `types` says so. */
export function fileCycles(graph: ImportGraph, { types }: { readonly types: boolean }): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) {
      cycles.push([...trail.slice(trail.indexOf(file)), file].join(" → "));
      return;
    }
    if (done.has(file)) return;
    for (const { target, typeOnly } of graph.get(file) ?? []) if (types || !typeOnly) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}

/** Rooms that reach each other by arrows: only among them can an arrow run back. */
function circles(all: readonly Arrow[]): string[][] {
  const rooms = [...new Set(all.flatMap(({ from, to }) => [from, to]))];
  const reached = new Map(
    rooms.map((room) => {
      const seen = new Set([room]);
      for (const each of seen) for (const { from, to } of all) if (from === each) seen.add(to);
      return [room, seen];
    }),
  );
  const mutual = (a: string, b: string) => reached.get(a)?.has(b) === true && reached.get(b)?.has(a) === true;
  return rooms
    .map((room) => rooms.filter((other) => mutual(room, other)))
    .filter((circle, i) => circle.length > 1 && circle[0] === rooms[i]);
}

/** Most rooms of a circle whose orders are all tried: 2^20 sets of them. */
const MOST_ORDERED = 20;

/** The fewest arrows that run back whatever the order of the rooms in one circle. */
function fewestBack(circle: readonly string[], all: readonly Arrow[]): number {
  if (circle.length > MOST_ORDERED)
    throw new Error(
      `a circle of rooms has at most ${MOST_ORDERED}, this one has ${circle.length}: ${circle.join(", ")}`,
    );
  const importedBy = circle.map((room) =>
    all.reduce(
      (mask, { from, to }) => (to === room && circle.includes(from) ? mask | (1 << circle.indexOf(from)) : mask),
      0,
    ),
  );
  const ones = (mask: number): number => (mask === 0 ? 0 : 1 + ones(mask & (mask - 1)));
  // By the set of rooms that stand below: a room put on top of them is imported back by those of them that import it.
  const fewest = new Float64Array(2 ** circle.length).fill(Number.POSITIVE_INFINITY);
  fewest[0] = 0;
  for (let below = 0; below < fewest.length; below++) {
    for (let next = 0; next < circle.length; next++) {
      const above = below | (1 << next);
      if (above !== below) fewest[above] = Math.min(fewest[above], fewest[below] + ones(below & importedBy[next]));
    }
  }
  return fewest[fewest.length - 1];
}

export interface Count {
  readonly rooms: number;
  readonly arrows: number;
  /** Pairs of rooms that import each other. */
  readonly bothWays: number;
  /** The fewest arrows against the order of the rooms, whatever the order. */
  readonly back: number;
  /** Circles of files found in one walk, type imports counted. */
  readonly fileCycles: number;
}

export function countRooms(root: string): Record<Wing, Count> {
  const graph = importGraph(root, WINGS);
  const count = (wing: Wing): Count => {
    const files = [...graph.keys()].filter((file) => wingOf(file) === wing);
    const all = arrows(graph, wing);
    return {
      rooms: new Set(files.map(roomOf)).size,
      arrows: all.length,
      bothWays: bothWays(all).length,
      back: circles(all).reduce((sum, circle) => sum + fewestBack(circle, all), 0),
      fileCycles: fileCycles(new Map(files.map((file) => [file, graph.get(file) ?? []])), { types: true }).length,
    };
  };
  return Object.fromEntries(WINGS.map((wing) => [wing, count(wing)])) as Record<Wing, Count>;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify(countRooms(process.argv[2] ?? process.cwd()), null, 2));
}

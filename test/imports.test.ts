// The house's import rules: no cycles, and each folder imports only what the architecture lets it.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const allowed: Readonly<Record<string, readonly string[]>> = {
  shared: ["shared"],
  kernels: ["kernels", "shared"],
  worker: ["worker", "kernels", "shared"],
  coordinator: ["coordinator", "shared"],
};

function sources(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
}

/** Files of ours that a file imports; type-only imports count for layers but not for cycles. */
function importsOf(file: string): { readonly target: string; readonly typeOnly: boolean }[] {
  const text = readFileSync(path.join(root, file), "utf8");
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?[^;"']*?from\s+"(\.[^"]+)"|^import\s+"(\.[^"]+)"/gm);
  return [...statements].map((m) => ({
    target: path.normalize(path.join(path.dirname(file), m[2] ?? m[3])),
    typeOnly: m[1] !== undefined,
  }));
}

const files = Object.keys(allowed).flatMap(sources);
const graph = new Map(files.map((file) => [file, importsOf(file)]));

test("every import of ours names a file that is there", () => {
  const missing = [...graph].flatMap(([file, imports]) =>
    imports
      .filter(({ target }) => target.endsWith(".ts") && !graph.has(target))
      .map(({ target }) => `${file} → ${target}`),
  );
  expect(missing.filter((line) => !line.includes(".d.ts"))).toEqual([]);
});

test("each folder imports only what lies below it", () => {
  const against = [...graph].flatMap(([file, imports]) =>
    imports
      .filter(({ target }) => !allowed[file.split(path.sep)[0]].includes(target.split(path.sep)[0]))
      .map(({ target }) => `${file} → ${target}`),
  );
  expect(against).toEqual([]);
});

test("there is no import cycle", () => {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) {
      cycles.push([...trail.slice(trail.indexOf(file)), file].join(" → "));
      return;
    }
    if (done.has(file)) return;
    for (const { target, typeOnly } of graph.get(file) ?? []) if (!typeOnly) visit(target, [...trail, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(cycles).toEqual([]);
});

// What `bitswarm/inference` is made of: nothing of training, and no package.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { importGraph, WINGS } from "../../rooms.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

test("inference imports no package, and of ours what it computes with alone", () => {
  const graph = importGraph(root, WINGS);
  const found = new Set<string>();
  const visit = (file: string) => {
    if (found.has(file)) return;
    found.add(file);
    for (const { target, typeOnly } of graph.get(file) ?? []) if (!typeOnly) visit(target);
  };
  visit(path.join("worker", "inference", "index.ts"));
  // What finds an adapter and compiles for it.
  for (const file of ["worker/device.ts", "worker/pipeline-cache.ts", "shared/wire/text-limit.ts"]) found.delete(file);
  const rooms = new Set([...found].map((file) => path.dirname(file)));
  expect([...rooms].filter((room) => !allowed.some((one) => room === one || room.startsWith(`${one}/`)))).toEqual([]);
  const packages = [...found].flatMap((file) =>
    [...readFileSync(path.join(root, file), "utf8").matchAll(/^import (?!type)[^;]*?from "([^."][^"]*)"/gm)].map(
      (match) => `${file} → ${match[1]}`,
    ),
  );
  expect(packages).toEqual([]);
});

const allowed = [
  "worker/inference",
  "kernels/inference",
  "kernels/text",
  "shared/assembler",
  "shared/base",
  "shared/data",
  "shared/export",
  "shared/image",
  "shared/model",
  "shared/tasks",
  "shared/tracking",
];

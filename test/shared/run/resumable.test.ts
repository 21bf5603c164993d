// What may change when a run is resumed: every field has an entry of its own or of its group.

import { expect, test } from "vitest";
import { z } from "zod";
import { parseConfig, runConfigSchema } from "../../../shared/run/config.ts";
import { changedFields, refusalOf, resumable, resumableOf } from "../../../shared/run/resumable.ts";

interface Node {
  readonly properties?: Record<string, Node>;
  readonly oneOf?: readonly Node[];
  readonly anyOf?: readonly Node[];
}

/** Paths of all fields of all kinds, and of the groups that they are in. */
function paths(node: Node, path: string, found: { leaves: Set<string>; groups: Set<string> }) {
  for (const kind of [...(node.oneOf ?? []), ...(node.anyOf ?? [])]) paths(kind, path, found);
  if (node.properties) {
    found.groups.add(path);
    for (const [key, inner] of Object.entries(node.properties)) {
      paths(inner, path === "" ? key : `${path}.${key}`, found);
    }
  } else if (!node.oneOf && !node.anyOf) found.leaves.add(path);
  else if (!found.groups.has(path)) found.leaves.add(path);
  return found;
}

const schema = z.toJSONSchema(runConfigSchema(), { io: "input", unrepresentable: "any" }) as Node;
const { leaves, groups } = paths(schema, "", { leaves: new Set(), groups: new Set() });

test("every field of every kind says whether it may change on resume", () => {
  expect(leaves.size).toBeGreaterThan(60);
  expect([...leaves].filter((field) => resumableOf(field) === undefined)).toEqual([]);
});

test("whoever may change says so by its own name: a field that is added to its group must decide", () => {
  const given = Object.entries(resumable).filter(([, { kind }]) => kind !== "fixed");
  // The options of an engine are its own, and none of them touches what is trained.
  expect(given.map(([field]) => field).filter((field) => !leaves.has(field))).toEqual(["engine"]);
});

test("there is no entry for what is no field", () => {
  expect(Object.keys(resumable).filter((field) => !leaves.has(field) && !groups.has(field))).toEqual([]);
});

test("a field that is not what it was is found in whatever group it is, and only epochs that grow may change", () => {
  const from = parseConfig({ epochs: 3 });
  const to = parseConfig({ epochs: 9, lease: { timeoutMs: 5000 }, optimizer: { learningRate: 0.2 } });
  const changes = changedFields(from, to);
  expect(changes.map(({ field }) => field).sort()).toEqual(["epochs", "lease.timeoutMs", "optimizer.learningRate"]);
  expect(changes.filter((change) => refusalOf(change) !== undefined)).toMatchObject([
    { field: "optimizer.learningRate" },
  ]);
  expect(refusalOf({ field: "epochs", from: 9, to: 3 })).toMatch(/--max-steps/);
});

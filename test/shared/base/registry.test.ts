// A table of plug-ins refuses doubles, names what it knows, and makes a union of options that follows what was added.

import { expect, test } from "vitest";
import { z } from "zod";
import { optionsUnion, type Plugin, Registry } from "../../../shared/base/registry.ts";

const plugin = (kind: string): Plugin => ({
  kind,
  schema: z.strictObject({ kind: z.literal(kind), size: z.number().default(1) }),
});

test("an unknown kind is refused with the kinds that there are", () => {
  const registry = new Registry("model", [plugin("a"), plugin("b")]);
  expect(registry.get("b").kind).toBe("b");
  expect(() => registry.get("c")).toThrow('there is no model of kind "c"; known are a, b');
});

test("two entries of one kind do not load", () => {
  expect(() => new Registry("model", [plugin("a"), plugin("a")])).toThrow("there are two models of kind a");
});

test("an entry added at run time is in the union, and gone once it is taken out", () => {
  const registry = new Registry("model", [plugin("a"), plugin("b")]);
  const before = registry.revision;
  const remove = registry.add(plugin("toy"));
  expect(registry.revision).not.toBe(before);
  expect(optionsUnion(registry, "a").parse({ kind: "toy" })).toEqual({ kind: "toy", size: 1 });
  remove();
  expect(optionsUnion(registry, "a").safeParse({ kind: "toy" }).success).toBe(false);
});

test("options without a kind are of the default kind", () => {
  const registry = new Registry("model", [plugin("a"), plugin("b")]);
  expect(optionsUnion(registry, "b").parse({ size: 3 })).toEqual({ kind: "b", size: 3 });
});

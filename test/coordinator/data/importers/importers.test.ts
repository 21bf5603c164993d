// The table of importers: complete, and open to more at run time.

import { expect, test } from "vitest";
import { z } from "zod";
import { defineImporter, type Importer } from "../../../../coordinator/data/importers/importer.ts";
import { addImporter, importers, requireBothHalves } from "../../../../coordinator/data/importers/importers.ts";
import { Registry } from "../../../../shared/base/registry.ts";
import { dataKind, dataKinds, idx } from "../../../../shared/data/data-kinds.ts";

const open = () => Promise.reject(new Error("opens nothing"));

test("every data set that can be named can be opened, and the other way round", () => {
  expect([...importers.kinds].sort()).toEqual([...dataKinds.kinds].sort());
  const named = new Registry("data set", [idx]);
  const other = { kind: "idx", schema: z.strictObject({ kind: z.literal("idx") }) };
  const table = (...entries: Importer[]) => new Registry<Importer>("data set", entries);
  expect(() => requireBothHalves(table(defineImporter(idx, open)), named)).not.toThrow();
  expect(() => requireBothHalves(table(), named)).toThrow(/not of one kind and schema: idx/);
  expect(() => requireBothHalves(table(defineImporter(idx, open)), new Registry("data set", []))).toThrow(/: idx/);
  expect(() => requireBothHalves(table(defineImporter(other, open)), named)).toThrow(/: idx/);
});

test("an importer comes and goes with both halves", () => {
  const remove = addImporter(defineImporter(dataKind("passing"), open));
  expect([importers.has("passing"), dataKinds.has("passing")]).toEqual([true, true]);
  remove();
  expect([importers.has("passing"), dataKinds.has("passing")]).toEqual([false, false]);
  expect(() => addImporter(defineImporter(idx, open))).toThrow(/two data sets of kind idx/);
});

// The data sets that a run can name: the half of each importer that every machine must read, its kind and its options.
// The half that opens files is in coordinator/data/importers, under the same kind.

import { z } from "zod";
import { optionsUnion, type Plugin, Registry } from "../base/registry.ts";

/** Of a configuration that names none. */
export const DEFAULT_DATA = "fashion-mnist";

const count = z.number().int().positive();

/** What every data set is asked, whatever its kind. */
const commonFields = {
  root: z.string().optional().describe("folder of the files; by default where the set-up put them"),
  trainSamples: count.default(20000).describe("the first N training images; more than there are means all"),
  testSamples: count.default(10000).describe("the first N held-out images"),
  pad: z.number().int().min(0).max(32).default(0).describe("zero pixels around each image (28 → 32 with 2)"),
  augment: z.enum(["none", "crop-flip"]).default("none").describe("pad 4, random crop, random horizontal flip"),
};

/** `data` of a configuration. An importer's own options stand beside these; it alone knows them. */
export type DataOptions = z.output<z.ZodObject<typeof commonFields>> & { readonly kind: string };

/** One half of an importer. @param options fields of its own beside the common ones */
export function dataKind<Shape extends z.ZodRawShape = Record<never, never>>(kind: string, options = {} as Shape) {
  return { kind, schema: z.strictObject({ kind: z.literal(kind), ...options }) };
}

export const fashionMnist = dataKind("fashion-mnist");
/** Four gzipped files in MNIST's format, in `root`. */
export const idx = dataKind("idx");
export const cifar10 = dataKind("cifar-10");
export const cifar100 = dataKind("cifar-100", {
  labels: z.enum(["fine", "coarse"]).default("fine").describe("100 classes, or the 20 that they are grouped in"),
});

export const dataKinds = new Registry<Plugin>("data set", [fashionMnist, idx, cifar10, cifar100]);

/** `data` of a configuration, as the table is now. */
export function dataSchema(): z.ZodType<DataOptions> {
  const whole = dataKinds.entries.map(({ kind, schema }) => ({ kind, schema: schema.extend(commonFields) }));
  return optionsUnion(new Registry("data set", whole), DEFAULT_DATA) as unknown as z.ZodType<DataOptions>;
}

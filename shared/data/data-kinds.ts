// The data sets that a run can name: the half of each importer that every machine must read, its kind and its options.
// The half that opens files is in coordinator/data/importers, under the same kind.

import { z } from "zod";
import { optionsUnion, type Plugin, Registry } from "../base/registry.ts";
import { MAX_DRAWS } from "./dataset.ts";

/** Of a configuration that names none. */
export const DEFAULT_DATA = "fashion-mnist";

/** Most samples of a split: more than any importer counts. */
export const MOST_SAMPLES = 2 ** 31 - 1;
/** Most classes: labels are u16. */
export const MOST_CLASSES = 65_536;
/** Longest name of a class. */
const CLASS_NAME = 64;
/** Longest path. */
const LONGEST_PATH = 4096;

const count = z.number().int().positive().max(MOST_SAMPLES);
const draws = z.number().int().min(1).max(MAX_DRAWS).optional();

/** What every data set is asked, whatever its kind. */
const commonFields = {
  root: z
    .string()
    .min(1)
    .max(LONGEST_PATH)
    .optional()
    .describe("folder of the files; by default where the set-up put them"),
  trainSamples: count.default(20000).describe("the first N training images; more than there are means all"),
  testSamples: count.default(10000).describe("the first N held-out images"),
  classes: z
    .union(
      [z.number().int().min(2).max(MOST_CLASSES), z.array(z.string().min(1).max(CLASS_NAME)).min(2).max(MOST_CLASSES)],
      { error: `must be a whole number from 2 to ${MOST_CLASSES}, or a list of at least two names` },
    )
    .optional()
    .describe(
      "how many classes there are, or their names from label 0 on; unless given, as many as the whole data set has",
    ),
  pad: z.number().int().min(0).max(32).default(0).describe("zero pixels around each image (28 → 32 with 2)"),
  augment: z.enum(["none", "crop-flip"]).default("none").describe("pad 4, random crop, random horizontal flip"),
};

/** Smallest and largest side of what a network sees of an encoded image. */
const SIDES = [8, 1024] as const;
const side = z.number().int().min(SIDES[0]).max(SIDES[1]);
const share = z.number().positive().max(1);

/** Of a store, which `bitswarm import` makes. What stands above under the same name is not asked of it. */
const storeFields = {
  store: z
    .string()
    .min(1)
    .max(LONGEST_PATH)
    .optional()
    .describe("what `bitswarm import` made: its folder, or s3://bucket/prefix"),
  root: z
    .undefined({ error: "is of data sets that are read from files as they are; a store is named by data.store" })
    .optional(),
  trainSamples: count.default(MOST_SAMPLES).describe("the first N training images, in the store's order; all of them"),
  testSamples: count.default(MOST_SAMPLES).describe("the first N held-out images; all of them"),
  size: side.optional().describe("side in pixels of what the network sees of a JPEG, 224 unless given; not for pixels"),
  resize: side
    .optional()
    .describe("the shorter side to which an evaluation resizes before it cuts the centre; size · 256/224 unless given"),
  augment: z
    .enum(["none", "crop-flip", "random-resized-crop"])
    .optional()
    .describe("of training images; unless given random-resized-crop for JPEGs, crop-flip for pixels"),
  draws: draws.describe("pairs that an epoch draws of each training clip, 1 unless given; of clips alone"),
  testDraws: draws.describe("pairs that evaluations draw of each held-out clip, 8 unless given; of clips alone"),
  area: z
    .tuple([share, share], { error: "must be two shares, the smaller first, as [0.08, 1]" })
    .refine(([least, most]) => least <= most, "must be two shares, the smaller first, as [0.08, 1]")
    .default([0.08, 1])
    .describe("smallest and largest share of an image's area that random-resized-crop takes"),
};

type CommonOptions = z.output<z.ZodObject<typeof commonFields>>;
type StoreOptions = z.output<z.ZodObject<typeof storeFields>>;

/** `data` of a configuration. An importer's own options stand beside these; it alone knows them. */
export type DataOptions = Omit<CommonOptions, "augment"> &
  Partial<Pick<StoreOptions, "store" | "size" | "resize" | "area" | "augment" | "draws" | "testDraws">> & {
    readonly kind: string;
  };

/** Whether a store is in a bucket, not in a folder. */
export const isBucket = (store: string): boolean => store.startsWith("s3://");

/** How many classes a configuration asks for; undefined where the data set decides. */
export function classCount({ classes }: Pick<DataOptions, "classes">): number | undefined {
  return typeof classes === "object" ? classes.length : classes;
}

/** One half of an importer. @param options fields of its own beside the common ones, or in the place of one of them */
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
/** A folder or a bucket of shards, with what encoded images are seen as. */
export const store = dataKind("store", storeFields);

export const dataKinds = new Registry<Plugin>("data set", [fashionMnist, idx, cifar10, cifar100, store]);

/** `data` of a configuration, as the table is now. */
export function dataSchema(): z.ZodType<DataOptions> {
  const whole = dataKinds.entries.map(({ kind, schema }) => {
    const { kind: named, ...own } = schema.shape;
    return { kind, schema: z.strictObject({ kind: named, ...commonFields, ...own }) };
  });
  return optionsUnion(new Registry("data set", whole), DEFAULT_DATA) as unknown as z.ZodType<DataOptions>;
}

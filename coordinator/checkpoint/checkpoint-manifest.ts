// manifest.json of a checkpoint: what the folder holds, with the hash of everything in it, so that a damaged one is
// never resumed from.

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type Dataset, datasetSchema } from "../../shared/data/dataset.ts";
import { runConfigField } from "../../shared/run/config.ts";
import { contentHash } from "../disk/content-hash.ts";
import { normHistoriesSchema } from "../trust/norm-history.ts";
import { peakMediansSchema } from "../trust/peak-medians.ts";
import { otherBuild } from "./other-build.ts";

export const MANIFEST = "manifest.json";
/** 1 knew two networks and four kinds of round; what it says of a run's units and norms has other names now. */
export const CHECKPOINT_FORMAT = 2;

/** Of manifest.json: the exponents and norms of ten thousand tensors are a megabyte. */
export const MOST_MANIFEST_BYTES = 64 * 2 ** 20;
/** Of one tensor file: what this platform reads into one buffer. */
export const MOST_TENSOR_FILE_BYTES = 2 ** 31 - 1;
/** Tensor files of a checkpoint: networks, partners, the optimizer's and the replica's. */
export const MOST_TENSOR_FILES = 64;

/** A file in the checkpoint's own folder: no name leads out of it, and none is hidden. */
const fileName = z.string().regex(/^[A-Za-z0-9_][\w.-]{0,127}$/, "is no name of a file in the checkpoint's folder");

const counting = z.number().int().min(0);
const hex = z.string().regex(/^[0-9a-f]{64}$/);
/** By the program's names. */
const byNetwork = <T extends z.ZodType>(value: T) => z.record(z.string(), value);

const checkpointManifestSchema = z.strictObject({
  format: z.literal(CHECKPOINT_FORMAT),
  /** A folder's name. */
  run: z.string().max(255),
  /** ISO 8601, of the writing. */
  time: z.string(),
  /** Committed steps. */
  step: counting,
  /** The network that the next step trains; before its first step its parameters are the initial ones. */
  network: z.string(),
  config: runConfigField,
  /** What the parameters were trained on; `sha256` names every pixel and label. */
  dataset: datasetSchema.pick({ name: true, shape: true, classes: true, mean: true, std: true }).extend({
    trainSamples: counting,
    testSamples: counting,
    sha256: hex,
  }),
  /** By name; `holds` is for people. */
  files: z
    .record(
      fileName,
      z.strictObject({ bytes: counting.max(MOST_TENSOR_FILE_BYTES), sha256: hex, holds: z.string().max(1024) }),
    )
    .refine((files) => Object.keys(files).length <= MOST_TENSOR_FILES, `are more than ${MOST_TENSOR_FILES}`),
  /** Of the latent float32 parameters. */
  paramsHash: byNetwork(hex),
  ledger: z.unknown(),
  /** Unit 2^e of each tensor in the next round, by `phase/tensor`. */
  exponents: z.record(z.string(), z.number().int().min(-126).max(126)),
  /** Norms of contributions in the last rounds, by phase; none in checkpoints of before they were kept. */
  norms: normHistoriesSchema.optional(),
  /** Peaks of the median account in the last round, by phase. */
  peaks: peakMediansSchema.optional(),
  /** Newest on the held-out samples, of the networks that were evaluated. */
  scores: byNetwork(
    z.strictObject({ name: z.string(), value: z.number(), others: z.record(z.string(), z.number()).optional() }),
  ),
  evaluatedAt: byNetwork(counting.nullable()),
  adamStep: counting,
  versions: z.strictObject({ protocol: counting, node: z.string() }),
});

export type CheckpointManifest = z.output<typeof checkpointManifestSchema>;

/**
 * Names the samples of a data set, their order and their classes; where no pixels are counted, by what they are
 * normalised.
 */
export function datasetHash({ name, format, shape, classes, mean, std, train, test }: Dataset): string {
  const shards = (split: Dataset["train"]) => [split.samples, ...split.shards.map(({ sha256 }) => sha256)];
  const parts = [name, shape.h, shape.w, shape.c, classes, shards(train), shards(test)];
  return contentHash(JSON.stringify(format.kind === "raw" ? parts : [...parts, format, mean, std]));
}

/** The text of manifest.json; its last field is the SHA-256 of the JSON of all others. */
export function encodeManifest(manifest: CheckpointManifest): string {
  return `${JSON.stringify({ ...manifest, sha256: contentHash(JSON.stringify(manifest)) }, null, 2)}\n`;
}

function corrupt(what: string): BitswarmError {
  return new BitswarmError("CHECKPOINT_CORRUPT", `${MANIFEST}: ${what}`);
}

/** @throws RUN_OF_OTHER_BUILD, CHECKPOINT_CORRUPT naming the field, or where a single byte is not what was written */
export function decodeManifest(text: string): CheckpointManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw corrupt(`is not JSON (${(cause as Error).message})`);
  }
  const hashed = z.looseObject({ format: z.number(), sha256: hex }).safeParse(value);
  if (!hashed.success)
    throw corrupt(`${hashed.error.issues[0].path.join(".") || "the top"}: ${hashed.error.issues[0].message}`);
  if (hashed.data.format !== CHECKPOINT_FORMAT) {
    throw otherBuild(`${MANIFEST} has format ${hashed.data.format}`, CHECKPOINT_FORMAT, hashed.data.format);
  }
  // Not zod's output: the hash is over the fields in the order they were written in.
  const { sha256, ...fields } = value as Record<string, unknown>;
  const actual = contentHash(JSON.stringify(fields));
  if (actual !== sha256) throw corrupt(`its SHA-256 is ${actual}, it says ${String(sha256)}`);
  const parsed = checkpointManifestSchema.safeParse(fields);
  if (!parsed.success) throw corrupt(`${parsed.error.issues[0].path.join(".")}: ${parsed.error.issues[0].message}`);
  return parsed.data;
}

// What came of a cell, as its cell.json says it: written once, when its run is over, so that it is never run again.

import { join } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { readPlainText } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";

const RESULT_FILE = "cell.json";
const RESULT_FORMAT = 1;
const MOST_RESULT_BYTES = 16 * 2 ** 20;

const count = z.number().min(0);
const pairs = z.strictObject({ float: count, binary: count });

const resultSchema = z.strictObject({
  format: z.literal(RESULT_FORMAT),
  cell: z.string(),
  method: z.string(),
  seed: count,
  rate: count,
  /** `diverged`: its numbers were lost, which is an outcome of its rate. */
  outcome: z.enum(["finished", "diverged"]),
  /** The run of the plan that it was taken over from, whose configuration is the same but for the name. */
  sameAs: z.string().optional(),
  /** Of a run that diverged. */
  message: z.string().optional(),
  /** Of the trained network on the held-out samples, after the last pass; none where it diverged. */
  score: z
    .strictObject({ name: z.string(), value: z.number(), better: z.enum(["higher", "lower"]), text: z.string() })
    .optional(),
  /** Evaluations of the trained network in their order, after so many steps and training samples. */
  curve: z.array(z.strictObject({ step: count, samples: count, value: z.number() })),
  steps: count,
  paramsHash: z.string().optional(),
  /** SHA-256 of the file that its network was written to, of the run that trains the teacher. */
  exported: z.string().optional(),
  /** On the clock while a coordinator drove it; informative, as machines and neighbours differ. */
  seconds: count,
  /** Means a worker and step, over so many steps, as sockets carried them; none where no step was seen. */
  measured: z.strictObject({ down: count, up: count, steps: count }).optional(),
  charge: z.strictObject({
    phases: z.array(
      z.strictObject({
        phase: z.string(),
        title: z.string(),
        network: z.string(),
        passes: count,
        samples: count,
        training: pairs,
        frozen: pairs,
        frozenForwards: count,
        total: pairs,
      }),
    ),
    samples: count,
    frozenForwards: count,
    total: pairs,
    inference: pairs,
    fullInference: count,
    bytes: z.strictObject({ down: count, up: count, once: count }),
    steps: count,
  }),
});

export type CellResult = z.output<typeof resultSchema>;

/** A result as it is made, without what every one has. */
export async function writeCellResult(folder: string, result: Omit<CellResult, "format">): Promise<CellResult> {
  const whole: CellResult = { format: RESULT_FORMAT, ...result };
  const file = join(folder, RESULT_FILE);
  await writeDurably(file, `${JSON.stringify(whole, null, 1)}\n`).catch((error) => {
    throw storageError(error, file);
  });
  return whole;
}

/** Nothing where the cell is not over. @throws STORAGE_FAILED for a file that is not as it was written */
export async function readCellResult(folder: string): Promise<CellResult | undefined> {
  const file = join(folder, RESULT_FILE);
  const text = await readPlainText(file, { code: "STORAGE_FAILED", mostBytes: MOST_RESULT_BYTES });
  if (text === undefined) return undefined;
  try {
    return resultSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new BitswarmError(
      "STORAGE_FAILED",
      `${file} is not as it was written (${(cause as Error).message.slice(0, 200)}): remove it, and it is written anew from the run beside it`,
      { cause },
    );
  }
}

// The contract of an importer: from the files of a data set to a stream of samples. What becomes of them is the
// sharder's affair.

import type { z } from "zod";
import type { DataOptions } from "../../../shared/data/data-kinds.ts";
import type { Dataset, SampleFormat, Split } from "../../../shared/data/dataset.ts";

/**
 * A sample as an importer gives it. Its bytes may be those of the sample before: they are read before the next is asked
 * for.
 */
export interface Sample {
  /** Pixels u8 [h][w][c] where the format is raw, else what its media says. */
  readonly content: Uint8Array;
  /** A label, or the bytes that the task reads: as many as the format says. */
  readonly target: number | Uint8Array;
}

export interface SplitSource {
  /** All that there are; a run may use fewer, the first of them. */
  readonly samples: number;
  /** The file or files they are in, for errors. */
  readonly origin: string;
  /**
   * From the first sample on. Ending the iteration early lets go of the files.
   * @throws DATA_INVALID naming file, record and value
   */
  read(): AsyncIterable<Sample> | Iterable<Sample>;
}

/** An open data set: what its files say of it before the first sample is read. */
export interface SampleSource extends Readonly<Record<Split, SplitSource>> {
  readonly format: SampleFormat;
  /** Of a decoded sample. */
  readonly shape: Dataset["shape"];
  /** Of the labels of the whole data set, whatever a run uses of it; 0 for targets that are none. */
  readonly classes: number;
  /**
   * Mean and deviation of each channel, scaled to [0,1]. `from-pixels`: those of the training pixels that the run uses.
   */
  readonly normalisation: Pick<Dataset, "mean" | "std"> | "from-pixels";
}

/** What the process is told by its environment; BITSWARM_DATA is a folder of files. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A plug-in of the table in importers.ts. */
export interface Importer {
  readonly kind: string;
  /** Of the options that this importer alone has, with `kind`. */
  readonly schema: z.ZodObject;
  /**
   * Finds the files and reads what says how many samples of what shape they hold.
   * @throws DATA_MISSING saying how to get them, DATA_INVALID naming file, field and value
   */
  open(options: DataOptions, environment: Environment): Promise<SampleSource>;
}

/** Both halves of an importer: what every machine reads of it, and how it opens files here. */
export function defineImporter<S extends z.ZodObject>(
  half: { readonly kind: string; readonly schema: S },
  open: (options: DataOptions & z.output<S>, environment: Environment) => Promise<SampleSource>,
): Importer {
  // The configuration was parsed with the same schema.
  return { ...half, open: (options, environment) => open(options as DataOptions & z.output<S>, environment) };
}

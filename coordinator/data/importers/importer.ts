// The contract of an importer: from the files of a data set to a stream of samples, of which the sharder makes shards,
// or to shards that are there already.

import type { z } from "zod";
import type { DataOptions } from "../../../shared/data/data-kinds.ts";
import type { Dataset, SampleFormat, Split } from "../../../shared/data/dataset.ts";
import type { StoredBytes } from "../../disk/stored-file.ts";

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

/** A data set that lies in shards already: nothing of it is cut or copied. */
export interface ShardedSource {
  readonly dataset: Dataset;
  /** The configuration's, with what it left to the data set filled in. */
  readonly options: DataOptions;
  /** Labels of which a split has no sample, in what the run uses of it. */
  readonly unseen: Readonly<Record<Split, readonly number[]>>;
  /** What else a person should know of it before it is trained on. */
  readonly notices: readonly string[];
  /**
   * A shard of this data set by its SHA-256; undefined for any other name.
   * @throws DATA_MISSING where it is gone, DATA_INVALID where it is damaged, STORAGE_FAILED: for the operator alone
   */
  shard(sha256: string): Promise<StoredBytes | undefined>;
  /** Where workers read the shards themselves; none where the coordinator sends them. */
  readonly elsewhere?: ShardsElsewhere;
}

/** Shards that workers read from somewhere else than the coordinator. */
export interface ShardsElsewhere {
  /** Of all addresses. */
  readonly origin: string;
  /** An address of a shard for a while, and how many seconds that is; undefined for a name of none. */
  addressOf(sha256: string): Promise<{ readonly url: string; readonly expires: number } | undefined>;
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
  open(options: DataOptions, environment: Environment): Promise<SampleSource | ShardedSource>;
  /**
   * What its classes are called, from label 0 on, where the data set says so; not those that a configuration names.
   * @throws DATA_MISSING, DATA_INVALID where they should be in files that are not there
   */
  classNames?(options: DataOptions, environment: Environment): Promise<readonly string[]>;
}

/**
 * Both halves of an importer: what every machine reads of it, and how it opens files here.
 * @param classNames of its classes, where the data set has any
 */
export function defineImporter<S extends z.ZodObject>(
  half: { readonly kind: string; readonly schema: S },
  open: (options: DataOptions & z.output<S>, environment: Environment) => Promise<SampleSource | ShardedSource>,
  classNames?: (options: DataOptions & z.output<S>, environment: Environment) => Promise<readonly string[]>,
): Importer {
  // The configuration was parsed with the same schema.
  const own = (options: DataOptions) => options as DataOptions & z.output<S>;
  return {
    ...half,
    open: (options, environment) => open(own(options), environment),
    ...(classNames && { classNames: (options, environment) => classNames(own(options), environment) }),
  };
}

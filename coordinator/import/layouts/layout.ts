// The contract of a layout: how images and labels of one kind of source lie in files, recognised and read as a stream
// of samples. What becomes of the samples is the pipeline's affair.

import type { Left } from "./left.ts";
import type { Listing } from "./listing.ts";

/** Longest content of a sample: the largest photograph of ImageNet has a quarter of it. Longer ones are rejects. */
export const MAX_SAMPLE_BYTES = 2 ** 26;

/** A sample as it lies in the source. */
export interface SourceSample {
  /**
   * Relative path in its split's folder, tar member, key of a WebDataset, parquet path, or FILE#ROW. A source may use a
   * name twice: the content tells such samples apart.
   */
  readonly name: string;
  /** An index into the source's classes. */
  readonly label: number;
  /** Those of one group are held out together; unless given, those of the same bytes. */
  readonly group?: string;
  /** Memory of its own, from the first byte of its buffer to the last: it may be transferred to a thread. */
  readonly content: Uint8Array<ArrayBuffer>;
}

/** Where reading goes on; opaque, short, safe in JSON. */
export type Cursor = string;

interface Place {
  /** To begin behind this sample the next time. */
  readonly cursor: Cursor;
  /** Of the split's bytes, those that lie behind this sample, also where reading began at a cursor. */
  readonly bytesRead: number;
}

/** A sample, or what stands in the place of one and cannot be used, such as a WebDataset's picture without a class. */
export type Item =
  | (Place & { readonly sample: SourceSample; readonly reject?: undefined })
  | (Place & { readonly reject: Left; readonly sample?: undefined });

/** A stretch of the source that is read in one go and can be begun again. */
export interface SourceSplit {
  /** Where it is known without reading. */
  readonly samples?: number;
  /** The groups of its samples where they are known without reading: at least one is held out of two or more. */
  readonly groups?: readonly string[];
  /** For the time that is left: exact or estimated. */
  readonly bytes: number;
  /**
   * From the first sample on, or behind the one whose cursor is given. Ending the iteration early lets go of the files.
   * @throws DATA_INVALID naming file, place and what to do
   */
  read(from?: Cursor): AsyncIterable<Item>;
}

export interface SourceClass {
  readonly name: string;
  /** Of WordNet, where it is known. */
  readonly id?: string;
}

export interface SourceSplits {
  readonly train: SourceSplit;
  readonly val?: SourceSplit;
  readonly test?: SourceSplit;
}

/** An open source: what its files say of it before the first sample is read. */
export interface OpenSource {
  /** By label. Classes of ImageNet are in the order of their WordNet ids, as every published model has them. */
  readonly classes: readonly SourceClass[];
  /**
   * `encoded`: files such as JPEG, whatever is in them; `pixels`: u8 [h][w][c] of the shape; `clips`: what makes a clip
   * of a sequence is told (sequences/clip-plan.ts).
   */
  readonly media: "encoded" | "pixels" | "clips";
  readonly shape?: { readonly h: number; readonly w: number; readonly c: number };
  readonly splits: SourceSplits;
  /** What a person should know, a sentence each. */
  readonly notices: readonly string[];
  /** Files passed over that are no samples: what operating systems leave behind, links out of the source. */
  readonly left: readonly Left[];
}

/** What a command may ask of a layout. */
export interface LayoutOptions {
  /** Of CIFAR-100. */
  readonly labels?: "fine" | "coarse";
  /** Told now and then while opening takes long. */
  readonly tell?: (what: string) => void;
}

/** How sure a layout is: 3, its own files are there; 2, it looks like it; 1, it can be read so. */
export type Strength = 1 | 2 | 3;

export interface Recognition {
  readonly strength: Strength;
  /** What was seen: "ILSVRC2012_img_train.tar and the devkit are in it". */
  readonly why: string;
  open(options: LayoutOptions): Promise<OpenSource>;
}

/** An entry of the table in layouts.ts. */
export interface Layout {
  readonly kind: string;
  /** As people call it. */
  readonly title: string;
  /** The files that make it, for a person who looks for the right folder. */
  readonly files: string;
  /** What it sees of itself in the source; nothing where it is none of its kind. */
  recognise(source: Listing): Promise<Recognition | undefined>;
}

// What is told while an import is on, for a person and for programs alike.

import type { StoreMedia, StoreSplit } from "../store/manifest.ts";

export type ImportEvent =
  /** What the source is, and why it was taken for that. */
  | {
      readonly type: "recognised";
      readonly layout: string;
      readonly why: string;
      readonly classes: number;
      readonly media: "encoded" | "pixels" | "clips";
      /** Samples where they are known beforehand, bytes as they lie in the source. */
      readonly splits: Readonly<
        Partial<Record<StoreSplit, { readonly samples: number | null; readonly bytes: number }>>
      >;
    }
  | { readonly type: "notice"; readonly message: string }
  | { readonly type: "resumed"; readonly share: number }
  | ({ readonly type: "progress" } & ImportProgress)
  | ({ readonly type: "rejected" } & Listed)
  | ({ readonly type: "done" } & ImportSummary);

export interface ImportProgress {
  readonly doing: "reading" | "writing";
  readonly split: StoreSplit;
  readonly media: "encoded" | "pixels" | "clips";
  /** Of the whole import. */
  readonly share: number;
  /** Files read so far, or samples in whole shards. */
  readonly samples: number;
  readonly samplesPerSecond: number;
  readonly rejected: number;
  readonly etaSeconds: number | null;
}

/** A file that is listed by name. */
export interface Listed {
  readonly split: StoreSplit;
  readonly source: string;
  readonly why: string;
}

export interface ImportSummary {
  readonly store: string;
  /** Of the manifest: two stores of the same are the same. */
  readonly sha256: string;
  readonly classes: number;
  readonly media: StoreMedia;
  readonly splits: Readonly<Partial<Record<StoreSplit, { readonly samples: number; readonly shards: number }>>>;
  /** Of all shards. */
  readonly bytes: number;
  readonly converted: number;
  readonly rejected: number;
  /** Some of what was rejected; the list is in the store. */
  readonly firstRejects: readonly Listed[];
  /** The store was there already. */
  readonly already: boolean;
}

export type Tell = (event: ImportEvent) => void;

// What becomes of a file of a source, and what images are made into.

/** How images of a split are stored. */
export interface ImageTarget {
  /** Shorter side of images that are larger; smaller ones stay as they are. */
  readonly short: number;
  /** Of JPEG, 1 to 100. */
  readonly quality: number;
  readonly subsampling: "4:2:0" | "4:4:4";
}

export type Outcome =
  /** Its own bytes, or itself made smaller. */
  | { readonly verdict: "use"; readonly content: Uint8Array<ArrayBuffer> }
  /** Decoded some other way than a worker would: its pixels are kept. */
  | { readonly verdict: "convert"; readonly content: Uint8Array<ArrayBuffer>; readonly why: string }
  | { readonly verdict: "reject"; readonly why: string };

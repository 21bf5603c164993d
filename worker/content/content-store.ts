// Where a platform keeps content from one visit to the next: Cache Storage, files. The port; what is kept and what
// goes is decided in kept-content.ts.

/** Something that is kept. */
export interface KeptEntry {
  readonly key: string;
  readonly bytes: number;
  /** Milliseconds since 1970 by the machine's clock: only the order matters. */
  readonly usedAt: number;
}

/** Others may write and remove beside us: further workers of the machine, further tabs. Any call may reject. */
export interface ContentStore {
  /** The most bytes to keep, by what the platform grants. */
  readonly capBytes: number;
  list(): Promise<readonly KeptEntry[]>;
  /** What is kept under a key, which counts as used now; undefined where nothing is. */
  read(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** @throws an error named `QuotaExceededError` where there is no room */
  write(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The most that is kept whatever room there is. */
export const KEPT_CAP_BYTES = 4 * 2 ** 30;
/** Of what a browser grants to the page's origin, so much is ours. */
export const KEPT_SHARE_OF_QUOTA = 1 / 4;
/** Where a platform does not say how much it grants. */
export const KEPT_BYTES_UNTOLD = 512 * 2 ** 20;

/** How much to keep where a platform grants so many bytes. */
export function keptCap(quota: number | undefined, wished = KEPT_CAP_BYTES): number {
  const granted = quota === undefined ? KEPT_BYTES_UNTOLD : Math.floor(quota * KEPT_SHARE_OF_QUOTA);
  return Math.max(0, Math.min(granted, wished));
}

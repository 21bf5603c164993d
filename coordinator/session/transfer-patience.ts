// How long a transfer may take in all: whoever sends a chunk now and then would hold its memory and its lease for ever.

/** The slowest line that is waited for, 256 kbit/s: what is slower brings nothing home in time. */
export const SLOWEST_BYTES_PER_SECOND = 32 << 10;

export interface TransferBounds {
  /** Without one chunk more. */
  readonly transferStallMs: number;
  /** What a worker may be away in the middle of a transfer. */
  readonly graceMs: number;
  readonly slowestBytesPerSecond: number;
}

/** Milliseconds from a transfer's first credit to its end, time away included. */
export function allowedMs(bytes: number, bounds: TransferBounds): number {
  const { transferStallMs, graceMs, slowestBytesPerSecond } = bounds;
  return transferStallMs + graceMs + (1000 * bytes) / slowestBytesPerSecond;
}

/** What a transfer is for: one that begins anew with the same purpose has no more time. */
export interface TransferTerm {
  /** The upload's lease, or the download's number. */
  readonly purpose: number;
  readonly bytes: number;
  readonly since: number;
}

/** The term of a transfer that is begun, or begun again. */
export function beganAt(
  now: number,
  term: TransferTerm | undefined,
  { purpose, bytes }: Pick<TransferTerm, "purpose" | "bytes">,
): TransferTerm {
  return term?.purpose === purpose ? term : { purpose, bytes, since: now };
}

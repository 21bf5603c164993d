// Time as an argument: rounds and sessions of both wings ask this for it, so that the simulation can drive the very
// same code (FoundationDB's way of testing).

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls once after `ms`, after 0 in the next turn of the event loop; the result cancels. */
  after(ms: number, call: () => void): () => void;
  /** Calls every `ms` until the result is called. */
  every(ms: number, call: () => void): () => void;
}

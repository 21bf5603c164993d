// Two keys that decide who leads and what is committed, as a port. Every decision is a compare-and-swap by revision: a
// value that was only read decides nothing.

import { BitswarmError } from "../../shared/base/errors.ts";

export interface StoredValue {
  readonly value: Uint8Array;
  /** Grows with each change of any key. */
  readonly revision: number;
}

export type SwapOutcome = { readonly kind: "won"; readonly revision: number } | { readonly kind: "lost" };

/**
 * Whatever has no answer throws ENGINE_UNREACHABLE, and may have been done all the same: `swapped` reads it back.
 */
export interface LeaseStore {
  read(key: string): Promise<StoredValue | undefined>;
  /** Where nothing is at the key. */
  create(key: string, value: Uint8Array): Promise<SwapOutcome>;
  /** Where what is at the key has this revision. */
  update(key: string, value: Uint8Array, revision: number): Promise<SwapOutcome>;
}

export interface Swap {
  readonly key: string;
  readonly value: Uint8Array;
  /** 0 where nothing is there. */
  readonly revision: number;
}

export function isUnreachable(error: unknown): boolean {
  return error instanceof BitswarmError && error.code === "ENGINE_UNREACHABLE";
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/**
 * A compare-and-swap that is read back where its answer is lost (or is a refusal that a store gave in error): the same
 * value is ours, another is not, and the same revision means that nothing was done. Values must be such that no two
 * writers ever write the same.
 * @throws ENGINE_UNREACHABLE where it cannot be read back either, and nothing is known
 */
export async function swapped(store: LeaseStore, { key, value, revision }: Swap): Promise<SwapOutcome | "undone"> {
  try {
    const outcome = await (revision === 0 ? store.create(key, value) : store.update(key, value, revision));
    if (outcome.kind === "won") return outcome;
  } catch (error) {
    if (!isUnreachable(error)) throw error;
  }
  const found = await store.read(key);
  if (found && sameBytes(found.value, value)) return { kind: "won", revision: found.revision };
  return (found?.revision ?? 0) === revision ? "undone" : { kind: "lost" };
}

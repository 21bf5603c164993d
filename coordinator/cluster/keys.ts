// Lease and head as the store has them: who leads, and what is committed, read by whoever may.

import { decodePlain } from "../../shared/wire/plain-message.ts";
import { type HeadValue, headValueSchema, isOver, type LeaseValue, leaseValueSchema } from "./fence.ts";
import type { LeaseStore, StoredValue } from "./lease-store.ts";

export const LEASE_KEY = "lease";
export const HEAD_KEY = "head";

export interface Found<T> {
  readonly value: T;
  readonly revision: number;
}

/** What reads both, and changes neither. */
export type KeyReader = Pick<LeaseStore, "read">;

/** @throws ENGINE_UNREACHABLE */
export async function readLease(store: KeyReader): Promise<Found<LeaseValue> | undefined> {
  return parsed(await store.read(LEASE_KEY), (bytes) => decodePlain(bytes, leaseValueSchema));
}

/** @throws ENGINE_UNREACHABLE */
export async function readHead(store: KeyReader): Promise<Found<HeadValue> | undefined> {
  return parsed(await store.read(HEAD_KEY), (bytes) => decodePlain(bytes, headValueSchema));
}

/** After which step the run came to its end; nothing where it has not. @throws ENGINE_UNREACHABLE */
export async function endOf(store: KeyReader): Promise<number | undefined> {
  const lease = await readLease(store);
  if (!lease || !isOver(lease.value)) return undefined;
  return (await readHead(store))?.value.step ?? 0;
}

function parsed<T>(found: StoredValue | undefined, read: (bytes: Uint8Array) => T): Found<T> | undefined {
  return found && { value: read(found.value), revision: found.revision };
}

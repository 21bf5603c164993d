// One version of a parameter set as data: it names the frames that bring a worker there, and holds none of them.

import type { ParameterSet } from "../../shared/wire/parameter-set.ts";

export interface NamedFrame {
  /** Under which whoever made the version has the frame's bytes. */
  readonly name: string;
  /** Bytes that it counts when frames are compared: those of a change's frame, or of the whole's parameters. */
  readonly bytes: number;
}

/** A frame that moves a worker which holds the version of hash `base` one version on. */
export interface NamedChange extends NamedFrame {
  readonly base: string;
}

export interface ParameterVersion {
  readonly set: ParameterSet;
  /** SHA-256 of the expanded blob, in hex. */
  readonly hash: string;
  /** The last changes, the oldest first: each leads to the base of the next, the last one to this version. */
  readonly changes: readonly NamedChange[];
  readonly whole: NamedFrame;
}

type Key = Pick<ParameterVersion, "set" | "hash">;

/** The name of a version's whole frame. */
export function wholeName({ set, hash }: Key): string {
  return `${set}.${hash}`;
}

/** The name of the frame that changes `base` into a version. */
export function changeName({ set, hash }: Key, base: string): string {
  return `${set}.${base}.${hash}`;
}

/**
 * Bytes that bring a worker from the versions before to these: the newest change of each, or the whole where that is no
 * larger; null where nothing came before.
 */
export function updateBytes(versions: readonly ParameterVersion[]): number | null {
  if (versions.every(({ changes }) => changes.length === 0)) return null;
  return versions.reduce((sum, { changes, whole }) => sum + (changes.at(-1)?.bytes ?? whole.bytes), 0);
}

/**
 * Names of the frames that bring a worker which holds the version of hash `held` to this one, in order; none where it
 * is there.
 */
export function framesTo({ hash, changes, whole }: ParameterVersion, held: string | undefined): readonly string[] {
  if (held === hash) return [];
  const from = changes.findIndex(({ base }) => base === held);
  const path = from < 0 ? [] : changes.slice(from);
  const bytes = path.reduce((sum, change) => sum + change.bytes, 0);
  return path.length > 0 && bytes < whole.bytes ? path.map(({ name }) => name) : [whole.name];
}

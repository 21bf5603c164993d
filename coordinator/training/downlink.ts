// What goes down to the workers: each version of a parameter set is encoded once, whatever the number of sessions.
// Sessions are told of a version by its names, say what their worker holds, and ask here for the bytes.

import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { EncodedVersion, VersionChange } from "./downlink-encoder.ts";
import { changeName, type NamedChange, type ParameterVersion, wholeName } from "./parameter-version.ts";

/** Changes kept of a set, the newest last: a worker that is further behind is sent the whole. */
export const KEPT_CHANGES = 4;

type Bytes = Uint8Array<ArrayBuffer>;

interface KeptChange extends NamedChange {
  readonly frame: Bytes;
}

/** The newest version of a set, and its frames: as much as the parameters themselves. */
interface Kept {
  readonly version: ParameterVersion;
  readonly changes: readonly KeptChange[];
  /** Makes the whole frame when it is first asked for. */
  readonly whole: () => Bytes;
}

export class Downlink {
  /** The newest of each set: the one before lives on in its changes alone. */
  readonly #newest = new Map<ParameterSet, Kept>();

  /** Hash of the newest version of each set. */
  get holds(): Readonly<Record<ParameterSet, string>> {
    return Object.fromEntries([...this.#newest].map(([set, { version }]) => [set, version.hash]));
  }

  /** The version that this is, from now on the newest of its set. */
  update(encoded: EncodedVersion): ParameterVersion {
    const { set, hash, contents } = encoded;
    const known = this.#newest.get(set);
    if (known?.version.hash === hash) return known.version;
    if (!contents) throw new RangeError(`the ${set}'s version ${hash} came without its contents, and is not held`);
    const { change, whole, largest } = contents;
    const changes = change ? [...(known?.changes.slice(1 - KEPT_CHANGES) ?? []), keptChange(encoded, change)] : [];
    const named = changes.map(({ base, name, bytes }): NamedChange => ({ base, name, bytes }));
    const version = { set, hash, changes: named, whole: { name: wholeName(encoded), bytes: largest } };
    this.#newest.set(set, { version, changes, whole });
    return version;
  }

  /** A frame of a newest version; nothing for one that no round in sight names. */
  frame(name: string): Bytes | undefined {
    for (const { version, changes, whole } of this.#newest.values()) {
      if (name === version.whole.name) return whole();
      const change = changes.find((kept) => kept.name === name);
      if (change) return change.frame;
    }
    return undefined;
  }

  /** Lets go of a set that no round in sight names; its next version is sent whole. */
  release(set: ParameterSet): void {
    this.#newest.delete(set);
  }
}

function keptChange(encoded: EncodedVersion, { base, frame }: VersionChange): KeptChange {
  return { base, name: changeName(encoded, base), bytes: frame.length, frame };
}

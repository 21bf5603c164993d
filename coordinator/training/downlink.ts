// What goes down to the workers: each version of a parameter set is encoded once, whatever the number of sessions; each
// session only says what its worker holds.

import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { EncodedVersion, VersionChange, VersionContents } from "./downlink-encoder.ts";

/** Changes kept of a set, the newest last: a worker that is further behind is sent the whole. */
export const KEPT_CHANGES = 4;

/** One version of a parameter set, on its way to any number of workers. */
export interface ParametersUpdate {
  readonly set: ParameterSet;
  /** SHA-256 of the expanded blob, in hex. */
  readonly hash: string;
  /** The frames that bring a worker which holds this hash here, in order; none where it is here already. */
  framesFor(held: string | undefined): readonly Uint8Array<ArrayBuffer>[];
}

/** What a version's frames are made of: as much as the parameters themselves. */
interface Contents extends Omit<VersionContents, "change"> {
  readonly changes: readonly VersionChange[];
}

class Version implements ParametersUpdate {
  readonly set: ParameterSet;
  readonly hash: string;
  #contents: Contents | undefined;

  constructor({ set, hash }: EncodedVersion, contents: Contents) {
    this.set = set;
    this.hash = hash;
    this.#contents = contents;
  }

  get changes(): readonly VersionChange[] {
    return this.#contents?.changes ?? [];
  }

  framesFor(held: string | undefined): readonly Uint8Array<ArrayBuffer>[] {
    if (held === this.hash || !this.#contents) return [];
    const { changes, largest, whole } = this.#contents;
    const from = changes.findIndex(({ base }) => base === held);
    const path = from < 0 ? [] : changes.slice(from).map(({ frame }) => frame);
    const bytes = path.reduce((sum, frame) => sum + frame.length, 0);
    return path.length > 0 && bytes < largest ? path : [whole()];
  }

  /** Sessions remember what they sent last: from now on that holds no bytes, and brings nobody anywhere. */
  release(): void {
    this.#contents = undefined;
  }
}

export class Downlink {
  /** The newest of each set: the one before lives on in its changes alone. */
  readonly #versions = new Map<ParameterSet, Version>();

  /** Hash of the newest version of each set. */
  get holds(): Readonly<Partial<Record<ParameterSet, string>>> {
    return Object.fromEntries([...this.#versions].map(([set, { hash }]) => [set, hash]));
  }

  /** The update to a version, which is from now on the newest of its set. */
  update(encoded: EncodedVersion): ParametersUpdate {
    const { set, hash, contents } = encoded;
    const known = this.#versions.get(set);
    if (known?.hash === hash) return known;
    if (!contents) throw new RangeError(`the ${set}'s version ${hash} came without its contents, and is not held`);
    const { change, ...rest } = contents;
    const before = known?.changes ?? [];
    const changes = change ? [...before.slice(1 - KEPT_CHANGES), change] : [];
    const version = new Version(encoded, { ...rest, changes });
    this.#versions.set(set, version);
    return version;
  }

  /** Lets go of a set that no round in sight names; its next version is sent whole. */
  release(set: ParameterSet): void {
    this.#versions.get(set)?.release();
    this.#versions.delete(set);
  }
}

// What goes down to the workers: each version of a parameter set is encoded once, whatever the number of sessions; each
// session only says what its worker holds.

import type { RunConfig } from "../shared/config.ts";
import type { Networks } from "../shared/networks.ts";
import { encodeParameters } from "../shared/parameter-frame.ts";
import { type ParameterSet, type WireForm, wireForm } from "../shared/parameter-set.ts";
import { encodeChange, encodeWhole, wholeBytes } from "../shared/parameter-update.ts";
import type { ReplicaChange, WireBlob } from "./training-state.ts";

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

interface Change {
  readonly base: string;
  readonly frame: Uint8Array<ArrayBuffer>;
}

/** What a version's frames are made of: as much as the parameters themselves. */
interface Contents {
  readonly blob: WireBlob;
  readonly changes: readonly Change[];
  readonly whole: () => Uint8Array<ArrayBuffer>;
  /** Bytes of the whole. */
  readonly largest: number;
}

class Version implements ParametersUpdate {
  readonly set: ParameterSet;
  readonly hash: string;
  #contents: Contents | undefined;

  constructor(set: ParameterSet, contents: Contents) {
    this.set = set;
    this.hash = contents.blob.hash;
    this.#contents = contents;
  }

  get contents(): Contents | undefined {
    return this.#contents;
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

export interface DownlinkOptions {
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
  readonly config: Pick<RunConfig, "downlink" | "sync">;
  readonly networks: Networks;
}

export class Downlink {
  readonly #options: DownlinkOptions;
  /** The newest of each set: the one before lives on in its changes alone. */
  readonly #versions = new Map<ParameterSet, Version>();

  constructor(options: DownlinkOptions) {
    this.#options = options;
  }

  /**
   * The update to this blob of a set.
   * @param round that is the first to use it
   * @param replicaChange what led to the blob, where the set is sent as `int8`
   */
  update(set: ParameterSet, blob: WireBlob, round: number, replicaChange?: ReplicaChange): ParametersUpdate {
    const known = this.#versions.get(set);
    if (known?.hash === blob.hash) return known;
    const before = known?.contents;
    const { networks, config, runTag } = this.#options;
    const form = wireForm(networks, config, set);
    const whole = once(() => {
      return encodeParameters(runTag, round, { set, hash: blob.hash, base: null, body: encodeWhole(form, blob.bytes) });
    });
    const largest = wholeBytes(form);
    const changes: Change[] = [];
    if (before) {
      const base = before.blob.hash;
      const body = changeOf(form, before.blob, blob, replicaChange);
      if (body && body.length < largest) {
        const frame = encodeParameters(runTag, round, { set, hash: blob.hash, base, body });
        changes.push(...before.changes.slice(1 - KEPT_CHANGES), { base, frame });
      }
    }
    const version = new Version(set, { blob, changes, whole, largest });
    this.#versions.set(set, version);
    return version;
  }

  /** Lets go of a set that no round in sight names; its next version is sent whole. */
  release(set: ParameterSet): void {
    this.#versions.get(set)?.release();
    this.#versions.delete(set);
  }
}

function changeOf(
  form: WireForm,
  before: WireBlob,
  next: WireBlob,
  replicaChange: ReplicaChange | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  if (form.floats !== "int8") return encodeChange(form, before.bytes, next.bytes);
  return replicaChange?.base === before.hash ? replicaChange.body : undefined;
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

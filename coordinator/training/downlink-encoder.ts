// Encodes what goes down to the workers, where the parameters are: each version of a set once, whole and as a change of
// the one before.

import type { RunConfig } from "../../shared/run/config.ts";
import type { Networks } from "../../shared/run/networks.ts";
import { encodeParameters } from "../../shared/wire/parameter-frame.ts";
import { type ParameterSet, parameterSets, type WireForm, wireForm } from "../../shared/wire/parameter-set.ts";
import { encodeChange, encodeWhole, wholeBytes } from "../../shared/wire/parameter-update.ts";
import type { ReplicaChange, WireBlob } from "../state/training-state.ts";

/** A frame that moves a worker which holds the blob of this hash one version on. */
export interface VersionChange {
  readonly base: string;
  readonly frame: Uint8Array<ArrayBuffer>;
}

export interface VersionContents {
  /** Null where there was no version before, or where the whole is no larger. */
  readonly change: VersionChange | null;
  /** The frame for everybody else; made when it is first asked for. */
  readonly whole: () => Uint8Array<ArrayBuffer>;
  /** Bytes of the whole's parameters. */
  readonly largest: number;
}

/** One version of a parameter set. */
export interface EncodedVersion {
  readonly set: ParameterSet;
  /** SHA-256 of the expanded blob, in hex. */
  readonly hash: string;
  /** Null where whoever asks holds this version. */
  readonly contents: VersionContents | null;
}

export interface DownlinkOptions {
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
  readonly config: Pick<RunConfig, "downlink" | "sync">;
  readonly networks: Networks;
}

export class DownlinkEncoder {
  readonly #options: DownlinkOptions;
  readonly #sets: readonly ParameterSet[];
  /** The newest of each set: what the next change is of. */
  readonly #last = new Map<ParameterSet, WireBlob>();

  constructor(options: DownlinkOptions) {
    this.#options = options;
    this.#sets = parameterSets(options.networks);
  }

  /**
   * @param round that is the first to use this blob
   * @param held hash of the version that whoever asks holds
   * @param replicaChange what led to the blob, where the set is sent as `int8`
   */
  encode(
    set: ParameterSet,
    blob: WireBlob,
    round: number,
    held: string | undefined,
    replicaChange?: ReplicaChange,
  ): EncodedVersion {
    const before = this.#last.get(set);
    this.#last.set(set, blob);
    const { hash } = blob;
    if (held === hash) return { set, hash, contents: null };
    const { networks, config, runTag } = this.#options;
    const form = wireForm(networks, config, set);
    const whole = once(() => {
      return encodeParameters(runTag, this.#sets, round, {
        set,
        hash,
        base: null,
        body: encodeWhole(form, blob.bytes),
      });
    });
    const largest = wholeBytes(form);
    const body = before?.hash === held && before ? changeOf(form, before, blob, replicaChange) : undefined;
    if (!before || !body || body.length >= largest) return { set, hash, contents: { change: null, whole, largest } };
    const base = before.hash;
    const frame = encodeParameters(runTag, this.#sets, round, { set, hash, base, body });
    return { set, hash, contents: { change: { base, frame }, whole, largest } };
  }

  /** Lets go of a set that no round in sight names; its next version is sent whole. */
  release(set: ParameterSet): void {
    this.#last.delete(set);
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

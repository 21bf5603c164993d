// The parameters of a run at a gateway: what its volunteers need of a round, fetched from whoever leads. Of a version
// whose forerunner is here the change alone is fetched, as a volunteer would be sent it, and the whole made of both
// when somebody asks for it.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { Networks } from "../../shared/run/networks.ts";
import { decodeFrame } from "../../shared/wire/frame.ts";
import { encodeParameters, parametersFrameLimit, readParameters } from "../../shared/wire/parameter-frame.ts";
import { type ParameterSet, parameterSets, type WireForm, wireForm } from "../../shared/wire/parameter-set.ts";
import { decodeChange, decodeWhole, encodeWhole, wholeBytes } from "../../shared/wire/parameter-update.ts";
import type { Bulk } from "../cluster/bulk.ts";
import { contentHash } from "../disk/content-hash.ts";
import { framesTo, type ParameterVersion } from "../training/parameter-version.ts";

export interface NamedBytes {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

type Bytes = Uint8Array<ArrayBuffer>;

export interface FrameCacheOptions {
  readonly bulk: Pick<Bulk, "fetch">;
  readonly runTag: string;
  readonly config: Pick<RunConfig, "downlink" | "sync">;
  readonly networks: Networks;
}

/** A version of a set, expanded: what the next change is of. */
interface Expanded {
  readonly hash: string;
  readonly blob: Bytes;
  /** The round that was the first to use it. */
  readonly round: number;
}

export class FrameCache {
  readonly #options: FrameCacheOptions;
  readonly #sets: readonly ParameterSet[];
  readonly #forms: ReadonlyMap<ParameterSet, WireForm>;
  readonly #frameLimit: number;
  readonly #held = new Map<string, Bytes>();
  /** The newest of each set that is here. */
  readonly #newest = new Map<ParameterSet, Expanded>();
  /** Of the rounds before this one: workers may still be on their way to it. */
  #before = new Set<string>();
  #wanted = new Set<string>();
  /** Whole frames that can be made, by their names. */
  readonly #wholes = new Map<string, () => Bytes>();
  #fetching: AbortController | undefined;

  constructor(options: FrameCacheOptions) {
    const { networks, config } = options;
    this.#options = options;
    this.#sets = parameterSets(networks);
    this.#forms = new Map(this.#sets.map((set) => [set, wireForm(networks, config, set)]));
    this.#frameLimit = parametersFrameLimit(Math.max(...[...this.#forms.values()].map(wholeBytes)));
  }

  get(name: string): Bytes | undefined {
    const held = this.#held.get(name);
    const make = this.#wholes.get(name);
    if (held || !make) return held;
    const made = make();
    this.#held.set(name, made);
    return made;
  }

  /**
   * Resolves with a round's versions as volunteers may be told of them, once all that they need is here: each change
   * that is named can be had. What neither this round nor the one before it names is let go, and what was being fetched
   * for another is given up. @throws BULK_LOST
   */
  async hold(
    holder: string,
    frames: readonly NamedBytes[],
    versions: readonly ParameterVersion[],
  ): Promise<readonly ParameterVersion[]> {
    this.#fetching?.abort(new DOMException("another round has begun", "AbortError"));
    const fetching = new AbortController();
    this.#fetching = fetching;
    const { signal } = fetching;
    const wanted = new Set(frames.map(({ name }) => name));
    if (![...wanted].every((name) => this.#wanted.has(name))) this.#before = this.#wanted;
    this.#wanted = wanted;
    for (const names of [this.#held, this.#wholes]) {
      for (const name of names.keys()) if (!wanted.has(name) && !this.#before.has(name)) names.delete(name);
    }
    const named = new Map(frames.map((frame) => [frame.name, frame]));
    const fetched = async (name: string) => {
      const known = this.#held.get(name);
      if (known) return known;
      const frame = named.get(name);
      if (!frame) throw new BitswarmError("BULK_LOST", `${holder} does not offer ${name}, which its round names`);
      const bytes = await this.#options.bulk.fetch({ holder, ...frame, signal });
      this.#held.set(name, bytes);
      return bytes;
    };
    const ofVersions = new Set(versions.flatMap(({ changes, whole }) => [whole, ...changes].map(({ name }) => name)));
    for (const { name } of frames) if (!ofVersions.has(name)) await fetched(name);
    for (const version of versions) await this.#reach(version, (name) => fetched(name));
    return versions.map((version) => this.#told(version));
  }

  /** Brings a set to a version: by changes where what they change is here, else by the whole. */
  async #reach(version: ParameterVersion, fetched: (name: string) => Promise<Bytes>): Promise<void> {
    const { set, hash, whole } = version;
    const before = this.#newest.get(set);
    if (before?.hash === hash) return;
    const path = framesTo(version, before?.hash);
    let newest: Expanded | undefined;
    if (before && path[0] !== whole.name) {
      newest = before;
      for (const name of path) newest = newest && this.#read(set, await fetched(name), newest);
    }
    // Another leader may have come to other numbers of the same name's forerunner: the whole says what is due.
    if (newest?.hash !== hash) newest = this.#read(set, await fetched(whole.name));
    if (newest?.hash !== hash)
      throw new BitswarmError("BULK_LOST", `${whole.name} is of another hash than its name says; it is fetched again`);
    const { blob, round } = newest;
    this.#newest.set(set, newest);
    this.#wholes.set(whole.name, () => this.#whole({ set, hash, blob, round }));
  }

  /** The version that a frame leads to; nothing where it is no frame of it. */
  #read(set: ParameterSet, bytes: Bytes, before?: Expanded): Expanded | undefined {
    const form = this.#forms.get(set);
    if (!form) return undefined;
    try {
      const frame = decodeFrame(bytes, this.#frameLimit);
      const { base, body, hash, ...of } = readParameters(this.#options.runTag, this.#sets, frame);
      if (of.set !== set || (base !== null && base !== before?.hash)) return undefined;
      const blob = base !== null && before ? decodeChange(form, before.blob, body) : decodeWhole(form, body);
      return contentHash(blob) === hash ? { hash, blob, round: frame.header.round } : undefined;
    } catch (error) {
      if (error instanceof BitswarmError) return undefined;
      throw error;
    }
  }

  #whole({ set, hash, blob, round }: Expanded & { readonly set: ParameterSet }): Bytes {
    const form = this.#forms.get(set);
    if (!form) throw new RangeError(`no parameter set ${set}`);
    const body = encodeWhole(form, blob);
    return encodeParameters(this.#options.runTag, this.#sets, round, { set, hash, base: null, body });
  }

  /** Without the changes that lead to it from where this gateway has never been. */
  #told(version: ParameterVersion): ParameterVersion {
    const from = version.changes.findLastIndex(({ name }) => !this.#held.has(name)) + 1;
    return from === 0 ? version : { ...version, changes: version.changes.slice(from) };
  }

  close(): void {
    this.#fetching?.abort(new DOMException("the gateway is closed", "AbortError"));
  }
}

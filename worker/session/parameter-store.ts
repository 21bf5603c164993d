// The parameters that this worker holds, expanded as the GPU wants them: whole ones and changes come in frames, and
// nothing is believed that does not hash to its name. It outlives connections, so that a change is enough after a
// reconnect.

import { BitswarmError } from "../../shared/base/errors.ts";
import { decodeFrame } from "../../shared/wire/frame.ts";
import { type ParametersFrame, parametersFrameLimit, readParameters } from "../../shared/wire/parameter-frame.ts";
import type { ParameterSet, WireForm } from "../../shared/wire/parameter-set.ts";
import { decodeChange, decodeWhole, wholeBytes } from "../../shared/wire/parameter-update.ts";
import type { SessionPorts } from "./session-ports.ts";

/** Versions kept of each set: the newest is the base of the next change, the one before may still be computed with. */
export const KEPT_VERSIONS = 2;

interface HeldParameters {
  readonly hash: string;
  readonly blob: Uint8Array<ArrayBuffer>;
}

interface Waiting {
  readonly arrived: Promise<void>;
  readonly resolve: () => void;
}

export class ParameterStore {
  readonly #forms: ReadonlyMap<ParameterSet, WireForm>;
  readonly #frameLimit: number;
  readonly #sha256: SessionPorts["sha256"];
  /** Of each set, the newest first. */
  readonly #held = new Map<ParameterSet, readonly HeldParameters[]>();
  /** Sets whose whole was asked for. */
  readonly #awaited = new Map<ParameterSet, Waiting>();
  /** Frames are taken one after another: a change builds on the one before. */
  #taken: Promise<unknown> = Promise.resolve();

  /**
   * @param forms of the run's sets, in the order that numbers them
   * @param before of another run at the same link: the hello said what it holds, and bytes are what their hash says
   */
  constructor(
    forms: ReadonlyMap<ParameterSet, WireForm>,
    sha256: SessionPorts["sha256"],
    before?: Pick<ParameterStore, "versions">,
  ) {
    this.#sha256 = sha256;
    this.#forms = forms;
    for (const set of forms.keys()) {
      const held = before?.versions(set) ?? [];
      if (held.length > 0) this.#held.set(set, held);
    }
    this.#frameLimit = parametersFrameLimit(Math.max(...[...this.#forms.values()].map(wholeBytes)));
  }

  /** Bytes of the largest frame that can be due. */
  get frameLimit(): number {
    return this.#frameLimit;
  }

  /** What is held of a set, the newest first. */
  versions(set: ParameterSet): readonly HeldParameters[] {
    return this.#held.get(set) ?? [];
  }

  /** Hash of the newest version of each set. */
  get holds(): Record<ParameterSet, string> {
    return Object.fromEntries([...this.#held].map(([set, [newest]]) => [set, newest.hash]));
  }

  /**
   * Takes a frame. Returns the set that is wanted whole where the frame changes a version that is not held.
   * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, PROTOCOL_MISMATCH, FRAME_CORRUPT for bytes that are not what they say
   */
  receive(runTag: string, bytes: Uint8Array): Promise<ParameterSet | undefined> {
    const taken = this.#taken.then(() =>
      this.#take(readParameters(runTag, [...this.#forms.keys()], decodeFrame(bytes, this.#frameLimit))),
    );
    this.#taken = taken.catch(() => undefined);
    return taken;
  }

  async #take({ set, hash, base, body }: ParametersFrame): Promise<ParameterSet | undefined> {
    const form = this.#forms.get(set)!;
    const held = this.#held.get(set) ?? [];
    let blob: Uint8Array<ArrayBuffer>;
    if (base === null) blob = decodeWhole(form, body);
    else {
      const before = held.find((version) => version.hash === base);
      if (!before) return this.#want(set);
      blob = decodeChange(form, before.blob, body);
    }
    const actual = await this.#sha256(blob);
    if (actual !== hash) {
      throw new BitswarmError("FRAME_CORRUPT", `${set} parameters announced as ${hash} have SHA-256 ${actual}`);
    }
    const others = held.filter((version) => version.hash !== hash);
    this.#held.set(set, [{ hash, blob }, ...others].slice(0, KEPT_VERSIONS));
    // A change that arrives now was not what was waited for.
    if (base === null) {
      this.#awaited.get(set)?.resolve();
      this.#awaited.delete(set);
    }
    return undefined;
  }

  /** Asked for once: the whole answers all changes before it. */
  #want(set: ParameterSet): ParameterSet | undefined {
    if (this.#awaited.has(set)) return undefined;
    let resolve = () => {};
    const arrived = new Promise<void>((done) => {
      resolve = done;
    });
    this.#awaited.set(set, { arrived, resolve });
    return set;
  }

  /** Nothing more will come over this connection. */
  disconnected(): void {
    for (const { resolve } of this.#awaited.values()) resolve();
    this.#awaited.clear();
  }

  /** The blob that a lease names, once all that came is taken. @throws MESSAGE_INVALID where it was never sent */
  async blob(set: ParameterSet, hash: string): Promise<Uint8Array<ArrayBuffer>> {
    await this.#taken;
    await this.#awaited.get(set)?.arrived;
    const version = this.#held.get(set)?.find((held) => held.hash === hash);
    if (version) return version.blob;
    throw new BitswarmError(
      "MESSAGE_INVALID",
      `a lease names ${set} parameters ${hash.slice(0, 12)}… that this worker was never sent`,
    );
  }
}

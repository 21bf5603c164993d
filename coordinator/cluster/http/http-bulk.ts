// Long bytes over HTTP: a holder says over the bus where its door is, and whoever needs an offer reads it there. Where
// there is no door, or none that can be reached, the bus brings it as before; which of the two it is is said once.

import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { type Bulk, type BulkRequest, MOST_BULK_BYTES } from "../bulk.ts";
import type { Bus } from "../bus.ts";
import { isUnreachable } from "../lease-store.ts";
import { decode, encode } from "../messages.ts";
import type { Subjects } from "../subjects.ts";
import type { DoorTokens } from "./door-token.ts";
import { type OpenedDoor, readDoor } from "./read-door.ts";

/** Less goes over the bus: a message is quicker than to ask for a door. */
export const LEAST_BYTES = 256 * 1024;
/** Sockets to one holder. */
const MOST_SOCKETS = 4;
const ASK_MS = 1000;
/** Where a door is, or that there is none, is asked again after so long; one that nobody answered for, sooner. */
const KNOWN_MS = 60_000;
/** A door that could not be reached is tried again after so long. */
export const AVOID_MS = 10_000;

export interface HttpBulkOptions {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly id: string;
  readonly clock: Clock;
  /** What brings all else, and is closed with this. */
  readonly overBus: Bulk;
  /** This node's door, where it has one. */
  readonly door?: { readonly url: string; readonly tokens: DoorTokens; readonly close: () => Promise<void> };
  /** Who signs the cluster's certificates, PEM: then doors are read over HTTPS alone. */
  readonly ca?: string;
  readonly onNotice: (message: string) => void;
  /** What is shorter goes over the bus. */
  readonly leastBytes?: number;
  readonly silenceMs?: number;
}

interface KnownDoor {
  readonly door: OpenedDoor | undefined;
  readonly until: number;
}

export class HttpBulk implements Bulk {
  readonly #options: HttpBulkOptions;
  readonly #agents: { readonly "http:": HttpAgent; readonly "https:": HttpsAgent };
  readonly #doors = new Map<string, KnownDoor>();
  /** By holder: what was last said of how its bytes come. */
  readonly #said = new Map<string, string>();
  readonly #stop: () => void;
  readonly #closed = new AbortController();

  constructor(options: HttpBulkOptions) {
    const { bus, subjects, id, ca, door } = options;
    this.#options = options;
    const settings = { keepAlive: true, maxSockets: MOST_SOCKETS };
    this.#agents = {
      "http:": new HttpAgent(settings),
      "https:": new HttpsAgent({ ...settings, ...(ca === undefined ? {} : { ca }) }),
    };
    this.#stop = bus.subscribe(subjects.doorsOf(id), ({ subject, data, reply }) => {
      const asker = subject.split(".").at(-2);
      if (!reply || asker === undefined || !decode("door", data)) return;
      reply(encode("at", { url: door?.url ?? null, token: door?.tokens.of(asker) ?? "" }));
    });
  }

  offer(name: string, bytes: Uint8Array): void {
    this.#options.overBus.offer(name, bytes);
  }

  withdraw(name: string): void {
    this.#options.overBus.withdraw(name);
  }

  async fetch(request: BulkRequest): Promise<Uint8Array<ArrayBuffer>> {
    const { overBus, leastBytes = LEAST_BYTES } = this.#options;
    const { holder, name, bytes, signal } = request;
    signal?.throwIfAborted();
    if (bytes < leastBytes || bytes > MOST_BULK_BYTES) return overBus.fetch(request);
    for (let tries = 0; tries < 2; tries++) {
      const door = await this.#doorOf(holder, signal);
      if (!door) break;
      const outcome = await this.#read(door, request);
      if (outcome.kind === "whole") {
        this.#say(holder, `long bytes of ${holder} come from ${door.url}`);
        return outcome.bytes;
      }
      if (outcome.kind === "lost")
        throw new BitswarmError("BULK_LOST", `${name} of ${holder} ${outcome.why}; what needs it is made anew`);
      // A holder that has begun anew makes other tokens.
      if (outcome.kind === "stranger") {
        this.#doors.delete(holder);
        continue;
      }
      this.#avoid(holder, door, outcome.why);
      break;
    }
    return overBus.fetch(request);
  }

  #read(door: OpenedDoor, request: BulkRequest) {
    const { clock, silenceMs } = this.#options;
    const agent = this.#agents[door.url.startsWith("https:") ? "https:" : "http:"];
    const signals = [this.#closed.signal, ...(request.signal ? [request.signal] : [])];
    const signal = AbortSignal.any(signals);
    return readDoor(door, { ...request, signal }, { clock, agent, ...(silenceMs === undefined ? {} : { silenceMs }) });
  }

  /** Where a holder's door is; nothing where it has none, or none that this node may use. */
  async #doorOf(holder: string, signal: AbortSignal | undefined): Promise<OpenedDoor | undefined> {
    const { bus, subjects, id, clock } = this.#options;
    const known = this.#doors.get(holder);
    if (known && clock.now() < known.until) return known.door;
    const asked = bus.request(subjects.door(id, holder), encode("door", {}), ASK_MS).catch((error: unknown) => {
      if (isUnreachable(error)) return undefined;
      throw error;
    });
    const answer = await abortable(asked, signal);
    const at = answer && decode("at", answer);
    const door = at && at.url !== null && this.#mayRead(at.url) ? { url: at.url, token: at.token } : undefined;
    this.#doors.set(holder, { door, until: clock.now() + (at ? KNOWN_MS : ASK_MS) });
    return door;
  }

  #mayRead(url: string): boolean {
    const { ca } = this.#options;
    return isDoorUrl(url) && (ca === undefined || url.startsWith("https:"));
  }

  #avoid(holder: string, door: OpenedDoor, why: string): void {
    this.#doors.set(holder, { door: undefined, until: this.#options.clock.now() + AVOID_MS });
    this.#say(holder, `${door.url} cannot be read (${why}): long bytes of ${holder} come over the bus`);
  }

  #say(holder: string, message: string): void {
    const kind = message.replace(/ \(.*\)/, "");
    if (this.#said.get(holder) === kind) return;
    this.#said.set(holder, kind);
    this.#options.onNotice(message);
  }

  async close(): Promise<void> {
    this.#stop();
    this.#closed.abort(new BitswarmError("BULK_LOST", "long bytes are not waited for any more"));
    for (const agent of Object.values(this.#agents)) agent.destroy();
    await Promise.all([this.#options.overBus.close(), this.#options.door?.close()]);
  }
}

/** Whether this is http or https, a host and a port, and nothing else. */
export function isDoorUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) return false;
  return url.username === "" && url.password === "" && url.pathname === "/" && url.search === "" && url.hash === "";
}

/** @throws what the signal aborts with, as soon as it does */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    stop = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stop();
  }
}

// A volunteer's end of a virtual link as its session wants it: opened over the world, looked at on the way, and cut on
// request.

import type { SessionSocket, SocketEvents } from "../../worker/session/session-ports.ts";
import type { Caller } from "./surroundings.ts";
import type { Timeline } from "./timeline.ts";
import { ABNORMAL, type VirtualLink } from "./virtual-link.ts";

export interface SocketWatch {
  /** Before the session takes a message, and after. */
  hears(bytes: Uint8Array): void;
  heard(): void;
  /** Before a message is sent; false where it is kept back. */
  says(bytes: Uint8Array): boolean;
  /** Once, when an open socket is open no more, whoever closed it. */
  lost(): void;
}

export interface VirtualSocketOptions {
  readonly timeline: Timeline;
  /** One way. */
  readonly latencyMs: number;
  readonly events: SocketEvents;
  readonly watch: SocketWatch;
  /** Opens a connection, or tells that there is none, at another moment than this. */
  readonly connect: (caller: Caller) => void;
}

export class VirtualSocket implements SessionSocket {
  readonly #timeline: Timeline;
  readonly #latencyMs: number;
  readonly #events: SocketEvents;
  readonly #watch: SocketWatch;
  #link: VirtualLink | undefined;
  #state: "open" | "closing" | "closed" = "open";

  constructor({ timeline, latencyMs, events, watch, connect }: VirtualSocketOptions) {
    this.#timeline = timeline;
    this.#latencyMs = latencyMs;
    this.#events = events;
    this.#watch = watch;
    connect({
      opened: (link) => this.#opened(link),
      refused: () => this.#closed(ABNORMAL, ""),
      message: (bytes) => this.#receive(bytes),
      closed: (code, reason) => this.#closed(code, reason),
    });
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#state === "open" && this.#link && this.#watch.says(bytes)) this.#link.volunteerSend(bytes);
  }

  close(code: number): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    if (this.#link) this.#watch.lost();
    this.#link?.volunteerClose(code);
    this.#timeline.at(this.#timeline.now + 2 * this.#latencyMs, "world", () => this.#closed(code, ""));
  }

  get opened(): boolean {
    return this.#state === "open" && this.#link !== undefined;
  }

  /** Both ends lose the connection, which its watch is not told. */
  cut(): void {
    const link = this.#link;
    this.#link = undefined;
    link?.cut();
  }

  /** The volunteer's machine is gone: nobody is told, here or there. */
  vanish(): void {
    this.#state = "closed";
    this.#link?.vanish();
  }

  #opened(link: VirtualLink): void {
    if (this.#state !== "open") {
      link.volunteerClose(1001);
      return;
    }
    this.#link = link;
    this.#events.opened();
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#watch.hears(bytes);
    this.#events.message(new Uint8Array(bytes).buffer);
    this.#watch.heard();
  }

  #closed(code: number, reason: string): void {
    if (this.#state === "closed") return;
    const { opened } = this;
    this.#state = "closed";
    if (opened) this.#watch.lost();
    this.#events.closed(code, reason);
  }
}

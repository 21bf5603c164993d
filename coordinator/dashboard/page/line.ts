// The page's line to the coordinator: opens the feed, comes back when it is lost, and carries commands.

import { type Command, type FeedMessage, feedMessageSchema, type PageMessage } from "../feed-message.ts";

/** Between two attempts; each later one waits longer, up to the last. */
const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15_000] as const;
/** The coordinator says something at least every 15 s, however many workers there are. */
const SILENT_MS = 40_000;

export type LineState =
  | { readonly kind: "connecting" }
  | { readonly kind: "up" }
  | { readonly kind: "down"; readonly retryAt: number }
  /** The token is not, or no longer, one of this run. */
  | { readonly kind: "refused" };

export interface LineOptions {
  /** Of the page's folder, with a slash at its end. */
  readonly base: string;
  readonly token: string;
  readonly onMessage: (message: FeedMessage) => void;
  readonly onState: (state: LineState) => void;
}

export class Line {
  readonly #options: LineOptions;
  #socket: WebSocket | undefined;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #nextId = 1;
  readonly #asked = new Map<number, (answer: Answer) => void>();

  constructor(options: LineOptions) {
    this.#options = options;
  }

  open(): void {
    clearTimeout(this.#retry);
    const { base, token, onMessage, onState } = this.#options;
    const url = new URL("dashboard/feed", base);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("token", token);
    onState({ kind: "connecting" });
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#watch();
    socket.addEventListener("message", ({ data }) => {
      const message = feedMessageSchema.parse(JSON.parse(String(data)));
      this.#watch();
      if (message.type === "whole") {
        this.#attempts = 0;
        onState({ kind: "up" });
      }
      if (message.type === "done" || message.type === "refused") {
        const code = message.type === "refused" ? message.code : undefined;
        this.#asked.get(message.id)?.({ ok: code === undefined, code, message: message.message });
        this.#asked.delete(message.id);
      }
      onMessage(message);
    });
    socket.addEventListener("close", () => this.#closed(socket));
  }

  /** Tries now, in place of when its time comes. */
  retry(): void {
    this.#attempts = 0;
    this.open();
  }

  /** Asks for something with the operator's token; resolves with the answer. */
  ask(command: Command, token: string): Promise<Answer> {
    return new Promise((resolve) => {
      const socket = this.#socket;
      if (socket?.readyState !== WebSocket.OPEN) {
        resolve({ ok: false, message: "the coordinator cannot be reached now" });
        return;
      }
      const id = this.#nextId++;
      this.#asked.set(id, resolve);
      socket.send(JSON.stringify({ type: "command", id, token, command } satisfies PageMessage));
    });
  }

  #watch(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#socket?.close(), SILENT_MS);
  }

  async #closed(socket: WebSocket): Promise<void> {
    if (socket !== this.#socket) return;
    clearTimeout(this.#watchdog);
    for (const answer of this.#asked.values())
      answer({ ok: false, message: "the line was lost before an answer came" });
    this.#asked.clear();
    const { base, token, onState } = this.#options;
    const wait = WAITS_MS[Math.min(this.#attempts++, WAITS_MS.length - 1)];
    onState({ kind: "down", retryAt: Date.now() + wait });
    this.#retry = setTimeout(() => this.open(), wait);
    // A browser does not tell why a WebSocket was refused: whether it is the token is asked over HTTP.
    const runs = new URL("dashboard/runs", base);
    runs.searchParams.set("token", token);
    const response = await fetch(runs).catch(() => undefined);
    if (response?.status !== 403 || socket !== this.#socket) return;
    clearTimeout(this.#retry);
    onState({ kind: "refused" });
  }
}

export interface Answer {
  readonly ok: boolean;
  /** Why the coordinator refused; nothing where it did not answer. */
  readonly code?: string | undefined;
  readonly message: string;
}

// Somebody who looks on: the dashboard's feed over a real WebSocket, as the page has it.

import { onTestFinished } from "vitest";
import WebSocket from "ws";
import {
  type Command,
  type FeedMessage,
  feedMessageSchema,
  type WholeView,
} from "../../../coordinator/dashboard/feed-message.ts";
import { type Board, nextBoard } from "../../../coordinator/dashboard/page/board.ts";

type MessageOf<T extends FeedMessage["type"]> = Extract<FeedMessage, { type: T }>;

export class Looker {
  readonly socket: WebSocket;
  /** What came, as it came. */
  readonly texts: string[] = [];
  readonly messages: FeedMessage[] = [];
  board: Board | undefined;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #waiting = new Set<() => void>();
  #nextId = 1;

  /**
   * @param link of the dashboard, with a token
   * @param ca the authority that it trusts, in PEM; the system's unless given
   */
  constructor(link: string, ca?: string) {
    const url = new URL(link);
    url.pathname = `${url.pathname}/feed`;
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(url, ca === undefined ? {} : { ca });
    this.closed = new Promise((resolve) =>
      this.socket.on("close", (code, reason) => resolve({ code, reason: String(reason) })),
    );
    this.socket.on("error", () => undefined);
    this.socket.on("message", (data, binary) => {
      if (binary) throw new Error("the feed is text");
      this.texts.push(String(data));
      const message = feedMessageSchema.parse(JSON.parse(String(data)));
      this.messages.push(message);
      this.board = nextBoard(this.board, message);
      for (const wake of this.#waiting) wake();
      this.#waiting.clear();
    });
    onTestFinished(() => this.socket.terminate());
  }

  /** The first message of a type, once it is there. */
  async first<T extends FeedMessage["type"]>(
    type: T,
    such: (message: MessageOf<T>) => boolean = () => true,
  ): Promise<MessageOf<T>> {
    for (;;) {
      const found = this.messages.find((one) => one.type === type && such(one as MessageOf<T>));
      if (found) return found as MessageOf<T>;
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  whole(): Promise<WholeView> {
    return this.first("whole");
  }

  /** Asks for something, and waits for the answer. */
  async ask(command: Command, token: string): Promise<MessageOf<"done" | "refused">> {
    const id = this.#nextId++;
    this.socket.send(JSON.stringify({ type: "command", id, token, command }));
    return Promise.race([this.first("done", (one) => one.id === id), this.first("refused", (one) => one.id === id)]);
  }
}

// All through which a session reaches the world outside it: time, chance, sockets, HTTP and hashing are arguments, so
// that the simulation plays the same session in virtual time.

import type { ContentPorts } from "../content/content-ports.ts";

/** What a socket tells the connection that opened it. */
export interface SocketEvents {
  opened(): void;
  /** An ArrayBuffer for a binary message; anything else is a text. */
  message(data: unknown): void;
  /** Called once, also where the socket never opened or was closed from this side. */
  closed(code: number, reason: string): void;
}

/** What a session needs of a WebSocket (RFC 6455). */
export interface SessionSocket {
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** Starts the closing handshake; what was sent before still leaves. */
  close(code: number, reason: string): void;
}

/** Starts to open a socket. */
export type OpenSocket = (url: string, events: SocketEvents) => SessionSocket;

export interface SessionPorts extends ContentPorts {
  readonly openSocket: OpenSocket;
  /**
   * Of the page that the session runs in, as its requests say it; null for a program, which has none. Without it nobody
   * is asked why a socket did not open.
   */
  readonly origin?: string | null;
}

// What a session needs of a WebSocket: the ws package's has it, and so has the simulation's, which no network carries.

import type { RawData } from "ws";

/** The value of `readyState` in which bytes may be sent. */
export const SOCKET_OPEN = 1;

export interface PeerSocket {
  readonly readyState: number;
  /** Bytes that were sent and have not left this machine. */
  readonly bufferedAmount: number;
  on(event: "message", listener: (data: RawData, isBinary: boolean) => void): unknown;
  on(event: "error", listener: (error: Error & { readonly code?: string }) => void): unknown;
  on(event: "close", listener: (code: number) => void): unknown;
  /** A control frame of RFC 6455, which the socket answers by itself. */
  on(event: "ping" | "pong", listener: () => void): unknown;
  /** Reads nothing until it is resumed; what was read before is still told. */
  pause(): void;
  resume(): void;
  send(bytes: Uint8Array, options: { readonly binary: true }): void;
  /** Starts the closing handshake. */
  close(code: number, reason: string): void;
  /** Cuts the connection. */
  terminate(): void;
}

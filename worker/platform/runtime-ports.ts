// What a session needs of its runtime and browsers, Deno and Node have in common: timers, chance, WebSocket, fetch and
// WebCrypto.

import { bytesToHex, sha256Hex } from "../../shared/base/hash.ts";
import { systemClock } from "../clock.ts";
import type { OpenSocket, SessionPorts } from "../session/session-ports.ts";

export type SocketConstructor = new (url: string) => WebSocket;

/** @param Socket the runtime's own unless given: Node 20 has none */
export function runtimePorts(Socket?: SocketConstructor): SessionPorts {
  const { location } = globalThis as { readonly location?: { readonly origin: string } };
  return {
    origin: location?.origin ?? null,
    clock: systemClock,
    random: () => Math.random(),
    openSocket: webSockets(Socket),
    fetch: (url, options) => fetch(url, options),
    sha256: digest,
  };
}

function webSockets(Socket: SocketConstructor | undefined): OpenSocket {
  return (url, events) => {
    const socket = new (Socket ?? WebSocket)(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => events.opened();
    socket.onmessage = ({ data }: MessageEvent) => events.message(data);
    socket.onclose = ({ code, reason }: CloseEvent) => events.closed(code, reason);
    // What went wrong follows as a close event; without a handler the ws package would throw it.
    socket.onerror = () => undefined;
    return socket;
  };
}

/**
 * SHA-256 as hex by WebCrypto, which is native and runs beside the page's thread; pages without a secure context do not
 * have it.
 */
export async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const { subtle } = globalThis.crypto as Partial<Crypto>;
  return subtle ? bytesToHex(new Uint8Array(await subtle.digest("SHA-256", bytes))) : sha256Hex(bytes);
}

// Counts what a session's sockets and downloads carry, for whoever wants to know what taking part costs of the line.

import type { SessionPorts } from "../session/session-ports.ts";

/** Bytes so far, without what HTTP, TLS and WebSocket put around them. */
export interface Traffic {
  readonly down: number;
  readonly up: number;
}

/** The same ports. @param onTraffic told of each message and download */
export function countedPorts(ports: SessionPorts, onTraffic: (traffic: Traffic) => void): SessionPorts {
  let traffic: Traffic = { down: 0, up: 0 };
  const count = (down: number, up: number) => {
    traffic = { down: traffic.down + down, up: traffic.up + up };
    onTraffic(traffic);
  };
  return {
    ...ports,
    openSocket: (url, events) => {
      const socket = ports.openSocket(url, {
        ...events,
        message: (data) => {
          count(data instanceof ArrayBuffer ? data.byteLength : String(data).length, 0);
          events.message(data);
        },
      });
      return {
        send: (bytes) => {
          count(0, bytes.byteLength);
          socket.send(bytes);
        },
        close: (code, reason) => socket.close(code, reason),
      };
    },
    fetch: async (url, options) => {
      const content = await ports.fetch(url, options);
      const { ok, status } = content;
      return {
        ok,
        status,
        ...(content.headers === undefined ? {} : { headers: content.headers }),
        arrayBuffer: async () => {
          const bytes = await content.arrayBuffer();
          count(bytes.byteLength, 0);
          return bytes;
        },
      };
    },
  };
}

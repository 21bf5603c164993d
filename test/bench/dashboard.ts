// `bench dashboard`: what it costs the coordinator that pages look on: the coordinator's own engine and sessions with
// simulated volunteers, and the real feed, once a second of theirs, to real sockets.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import WebSocket, { WebSocketServer } from "ws";
import { Feed, type Viewer } from "../../coordinator/dashboard/feed.ts";
import { readScenario } from "../../coordinator/simulate/scenario.ts";
import type { WatchedLife } from "../../coordinator/simulate/virtual-coordinator.ts";
import { simulate } from "../../coordinator/simulate/world.ts";
import type { Emit } from "./line.ts";
import { rounded } from "./statistics.ts";

export interface DashboardOptions {
  readonly workers: number;
  readonly viewers: number;
  readonly steps: number;
}

/** Looks at a run of which so many have joined. */
const JOINED = 0.9;

/** Sockets to this process itself: what they are sent is read in turns that are not measured. */
async function openSockets(count: number) {
  const server = createServer();
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const clients: WebSocket[] = [];
  const ends: WebSocket[] = [];
  for (let i = 0; i < count; i++) {
    const opened = once(sockets, "connection");
    const client = new WebSocket(`ws://127.0.0.1:${port}/`);
    clients.push(client);
    ends.push((await opened)[0]);
    await (client.readyState === WebSocket.OPEN ? undefined : once(client, "open"));
  }
  const close = () => {
    for (const client of clients) client.terminate();
    server.close();
    sockets.close();
  };
  return { ends, close };
}

export async function benchDashboard({ workers, viewers, steps }: DashboardOptions, emit: Emit): Promise<void> {
  const scenario = await readScenario(undefined, [`volunteers=${workers}`, `steps=${steps}`]);
  const { ends, close } = await openSockets(viewers);
  const measured = { looks: 0, cpuMs: 0, bytes: 0 };
  let wholeBytes = 0;
  const watched = ({ engine, sessions, clock }: WatchedLife) => {
    const source = { status: () => engine.status(), watch: () => engine.watch(), vitals: () => sessions.vitals };
    let sent = 0;
    const measure = (look: () => void) => {
      sent = 0;
      const before = process.cpuUsage();
      look();
      const { user, system } = process.cpuUsage(before);
      if (engine.status().workers < JOINED * workers) return;
      measured.looks++;
      measured.cpuMs += (user + system) / 1000;
      measured.bytes += sent / viewers;
    };
    // Its looks come once a second of the simulated clock, which stands still in them.
    const feed = new Feed({
      source,
      clock: { ...clock, after: (ms, call) => clock.after(ms, () => measure(call)) },
      time: () => clock.now(),
    });
    for (const end of ends) {
      const viewer: Viewer = {
        send: (bytes) => {
          sent += bytes.length;
          end.send(bytes, { binary: false });
        },
        waitingBytes: 0,
        drop: () => end.terminate(),
      };
      feed.join(viewer);
    }
    clock.every(1000, () => {
      if (engine.status().workers < JOINED * workers || wholeBytes > 0) return;
      const late: Viewer = {
        send: (bytes) => {
          wholeBytes = bytes.length;
        },
        waitingBytes: 0,
        drop: () => undefined,
      };
      feed.join(late);
      feed.leave(late);
    });
  };
  try {
    await simulate(scenario, 1, { watched });
  } finally {
    close();
  }
  const { looks, cpuMs, bytes } = measured;
  await emit({
    record: "dashboard",
    workers,
    viewers,
    looks,
    msPerLook: rounded(cpuMs / looks),
    share: rounded(cpuMs / looks / 1000),
    bytesPerLook: Math.round(bytes / looks),
    wholeBytes,
  });
}

// HTTP has limits of its own: connections that say nothing, or half a request, keep nobody out.

import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type OpenSocketLimits, openSocketLimits } from "../../../coordinator/server/open-sockets.ts";
import { straight } from "../../../coordinator/server/reach.ts";
import { type RunServer, startServer } from "../../../coordinator/server/server.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

/** A connection on which these words are said, and nothing more; how it ended. */
class Silent {
  readonly socket: Socket;
  ended: "open" | "closed" | "reset" = "open";

  constructor(url: string, words: string) {
    const { port } = new URL(url);
    this.socket = connect(Number(port), "127.0.0.1", () => this.socket.write(words));
    this.socket.on("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "ECONNRESET") this.ended = "reset";
    });
    this.socket.on("close", () => {
      if (this.ended === "open") this.ended = "closed";
    });
    this.socket.resume();
    onTestFinished(() => void this.socket.destroy());
  }

  async open(): Promise<this> {
    if (this.socket.connecting) await new Promise((resolve) => this.socket.once("connect", resolve));
    return this;
  }
}

/** A server that has nothing but one blob, under any name. */
async function serveBytes(bytes: Uint8Array, openSockets: OpenSocketLimits, onAsked = () => {}): Promise<RunServer> {
  const nobody = () => {
    throw new Error("nobody asks");
  };
  const blob = () => {
    onAsked();
    return bytes;
  };
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    reach: straight,
    messageLimit: 1,
    closeMs: 1000,
    onNotice: nobody,
    openSockets,
    sessions: { accept: nobody, open: nobody, fullness: nobody, wrongToken: nobody },
    source: {
      token: "t",
      operatorToken: "o",
      dashboardToken: "d",
      page: new Map(),
      status: nobody,
      shard: nobody,
      blob,
      metrics: nobody,
      full: nobody,
    },
  });
  onTestFinished(() => server.close());
  return server;
}

const download = `GET /blobs/${"0".repeat(64)}?token=t HTTP/1.1\r\nHost: x\r\n\r\n`;
const half = "GET /status HTTP/1.1\r\nHost: x\r\nX-";

test("H12 an address has so many HTTP connections, and beyond them the oldest that ask for nothing are reset", async () => {
  const { url } = await startTestRun({ openSockets: { ...openSocketLimits, perAddress: 4 } });
  const sockets: Silent[] = [];
  for (let i = 0; i < 6; i++) sockets.push(await new Silent(url, i % 2 === 0 ? half : "").open());
  await expect
    .poll(() => sockets.map(({ ended }) => ended))
    .toEqual(["reset", "reset", "open", "open", "open", "open"]);
});

test("H12 all addresses together have so many", async () => {
  const { url } = await startTestRun({ openSockets: { ...openSocketLimits, inAll: 4 } });
  const sockets: Silent[] = [];
  for (let i = 0; i < 6; i++) sockets.push(await new Silent(url, half).open());
  await expect
    .poll(() => sockets.map(({ ended }) => ended))
    .toEqual(["reset", "reset", "open", "open", "open", "open"]);
});

test("H12 whoever has the token is answered beside 400 half requests of its own address, and a WebSocket is none of them", async () => {
  // Whoever would be answered when they have had their time would wait for ever.
  const { url, connectStranger } = await startTestRun({ openSockets: { ...openSocketLimits, headersMs: 3_600_000 } });
  const member = await connectStranger().join();
  const sockets = await Promise.all(Array.from({ length: 400 }, () => new Silent(url, half).open()));
  expect((await fetch(url.replace("/?", "/status?"))).status).toBe(200);
  await expect
    .poll(() => sockets.filter(({ ended }) => ended === "open").length)
    .toBeLessThanOrEqual(openSocketLimits.perAddress);
  member.send({ type: "ping", nonce: 1 });
  expect(await member.next("pong")).toMatchObject({ nonce: 1 });
});

test("H12 where all are being answered the oldest goes: downloads that dribble keep nobody out", async () => {
  let asked = 0;
  const server = await serveBytes(new Uint8Array(2 ** 26), { ...openSocketLimits, inAll: 3 }, () => asked++);
  const deaf: Silent[] = [];
  for (let i = 0; i < 3; i++) {
    const socket = new Silent(server.url, download);
    socket.socket.pause();
    deaf.push(socket);
    await expect.poll(() => asked).toBe(i + 1);
  }
  const blob = await fetch(new URL(`/blobs/${"0".repeat(64)}?token=t`, server.url), { method: "HEAD" });
  expect(blob.status).toBe(200);
  deaf[0].socket.resume();
  await expect.poll(() => deaf.map(({ ended }) => ended === "open")).toEqual([false, true, true]);
});

test("H12 a connection asks for so much at once and no more: each answer holds a file open", async () => {
  let asked = 0;
  const limits = { ...openSocketLimits, requestsAtOnce: 3 };
  const server = await serveBytes(new Uint8Array(2 ** 26), limits, () => asked++);
  const greedy = new Silent(server.url, download.repeat(500));
  await expect.poll(() => greedy.ended).toBe("reset");
  expect(asked).toBe(3);
  const modest = new Silent(server.url, download.repeat(3));
  modest.socket.pause();
  await expect.poll(() => asked).toBe(6);
  expect(modest.ended).toBe("open");
});

test("H13 half a request is waited for no longer than for a whole one's head", async () => {
  const { url } = await startTestRun({ openSockets: { ...openSocketLimits, headersMs: 300 } });
  const slow = await new Silent(url, half).open();
  const dribble = setInterval(() => slow.socket.write("x"), 50);
  onTestFinished(() => clearInterval(dribble));
  await expect.poll(() => slow.ended).not.toBe("open");
  expect(openSocketLimits.headersMs).toBeLessThanOrEqual(10_000);
});

test("H13 a download of which nothing is taken ends", async () => {
  const server = await serveBytes(new Uint8Array(2 ** 26), { ...openSocketLimits, stalledMs: 400 });
  const deaf = new Silent(server.url, download);
  deaf.socket.pause();
  await deaf.open();
  await expect.poll(() => server.connections).toBe(1);
  await expect.poll(() => server.connections).toBe(0);
});

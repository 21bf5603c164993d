// A connection that is over frees its socket soon, whatever the other end does or does not.

import { expect, test } from "vitest";
import { encodeMessage } from "../../../shared/wire/protocol.ts";
import { below, connectionsHeld, opcodes, rawFrame, upgradedSocket } from "../../fixtures/raw-socket.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const SOCKETS = 20;
const limits = { closeMs: 100, helloMs: 60_000 };

/** Opens many, does this to each, and sees that the server is rid of them all. */
async function freed(act: (link: string) => Promise<void>): Promise<void> {
  const { url } = await startTestRun({ limits });
  const held = connectionsHeld(url);
  await Promise.all(Array.from({ length: SOCKETS }, () => act(url)));
  await expect.poll(held).toBe(0);
}

const endings: readonly (readonly [string, (link: string) => Promise<void>])[] = [
  [
    "a frame that breaks RFC 6455",
    async (link) => {
      const { socket } = await upgradedSocket(link);
      socket.write(Buffer.from([0xf2, 0x80, 0, 0, 0, 0]));
    },
  ],
  [
    "a message that is no hello, and no answer to the close frame",
    async (link) => {
      const { socket } = await upgradedSocket(link);
      socket.write(rawFrame(encodeMessage({ type: "ready" })));
    },
  ],
  [
    "a close frame, and the TCP connection left as it is",
    async (link) => {
      const { socket } = await upgradedSocket(link);
      socket.write(rawFrame(Buffer.from([0x03, 0xe8]), opcodes.close));
    },
  ],
  [
    "the end of its side of the TCP connection, and nothing after",
    async (link) => {
      const { socket } = await upgradedSocket(link);
      socket.end();
    },
  ],
  [
    "a message that goes on and on after the close frame",
    async (link) => {
      const { socket } = await upgradedSocket(link);
      const ready = rawFrame(encodeMessage({ type: "ready" }));
      socket.write(Buffer.concat(Array.from({ length: 5000 }, () => ready)));
    },
  ],
  [
    "a request for another path than the WebSocket's",
    async (link) => {
      const { status } = await upgradedSocket(link, {}, "/elsewhere");
      expect(status).toContain("404");
    },
  ],
  [
    "a request from the page of another site",
    async (link) => {
      const { status } = await upgradedSocket(link, { origin: "https://elsewhere.example" });
      expect(status).toContain("403");
    },
  ],
];

test.each(endings)("after %s nothing is left of the socket", async (_, act) => {
  await freed(act);
});

test("what came before a frame that breaks RFC 6455 still counts", async () => {
  const { connect } = await startTestRun({ limits });
  const [worker, other] = [await connect().join(), await connect().join()];
  const { ranges, lease } = await worker.lease();
  const words = rawFrame(encodeMessage({ type: "return", lease, reason: "leave", detail: "" }));
  below(worker.socket).write(Buffer.concat([words, Buffer.from([0xf2, 0x80, 0, 0, 0, 0])]));
  expect(await other.lease()).toMatchObject({ ranges });
});

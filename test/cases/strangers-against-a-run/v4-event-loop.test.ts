// A message costs the event loop what its kind may: however many one stranger writes at once, everybody else has a
// turn, and who goes on is sent away.

import { expect, test } from "vitest";
import { MESSAGE_PARTS } from "../../../coordinator/server/server.ts";
import { TURN_MESSAGES } from "../../../coordinator/session/paced-messages.ts";
import { sessionLimits } from "../../../coordinator/session/session-limits.ts";
import { CHUNK_BYTES, encodeChunk } from "../../../shared/wire/chunk.ts";
import { encodeFrame } from "../../../shared/wire/frame.ts";
import { encodeMessage, type WorkerMessage } from "../../../shared/wire/protocol.ts";
import { below, opcodes, rawFrame } from "../../fixtures/raw-socket.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const said = (message: WorkerMessage) => rawFrame(encodeMessage(message));
const times = (count: number, of: (index: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => of(index)));
const nothing = new Uint8Array();
/** More than any session may say. */
const boundless = { perSecond: 1e6, burst: 1e6 };

/** Pings over and over; how often it was answered so far. */
function pinging(worker: ScriptedWorker): () => number {
  let nonce = 0;
  let over = false;
  const goOn = async () => {
    while (!over) {
      worker.send({ type: "ping", nonce: nonce++ });
      await worker.next("pong").catch(() => {
        over = true;
      });
    }
  };
  goOn();
  return () => nonce;
}

test("one write of 1,900 ready and paused is taken in over as many turns as it takes; others are answered between", async () => {
  const { connect, url } = await startTestRun({ limits: { messageRate: boundless } });
  const flooder = await connect({ identity: newIdentity() }).join();
  const other = await connect().join();
  const pairs = 1900;
  const pair = Buffer.concat([said({ type: "ready" }), said({ type: "paused" })]);
  const answered = pinging(other);
  const before = answered();
  below(flooder.socket).write(Buffer.concat([times(pairs, () => pair), said({ type: "ping", nonce: 1 })]));
  const end = (async () => {
    for (;;) if ((await flooder.take().then((it) => (it === "closed" ? it : it.type))) === "pong") return "flood over";
  })();
  const status = fetch(url.replace("/?", "/status?")).then(({ status }) => status);
  expect(await Promise.race([end, status])).toBe(200);
  expect(await end).toBe("flood over");
  // A turn of the other's ping for each of the flood's, give or take those in which its socket was not ready.
  expect(answered() - before).toBeGreaterThan((2 * pairs) / TURN_MESSAGES / 4);
});

const offer = (transfer: number, lease: number): WorkerMessage => ({
  type: "offer",
  transfer,
  bytes: CHUNK_BYTES + 1 + transfer,
  lease,
});

interface Flood {
  readonly of: string;
  readonly bytes: (lease: number, worker: ScriptedWorker) => Buffer;
  readonly code: string;
}

const floods: readonly Flood[] = [
  {
    of: "ready and paused",
    bytes: () => times(1500, () => Buffer.concat([said({ type: "ready" }), said({ type: "paused" })])),
    code: "RATE_LIMITED",
  },
  { of: "ready", bytes: () => times(3000, () => said({ type: "ready" })), code: "RATE_LIMITED" },
  {
    of: "offers of one lease",
    bytes: (lease) => times(3000, (index) => said(offer(index, lease))),
    code: "RATE_LIMITED",
  },
  {
    of: "offers of no lease of its own",
    bytes: () => times(3000, (index) => said(offer(index, 999))),
    code: "LEASE_UNKNOWN",
  },
  {
    of: "leases given back that it does not hold",
    bytes: () => times(3000, () => said({ type: "return", lease: 999, reason: "error", detail: "" })),
    code: "RATE_LIMITED",
  },
  { of: "pings", bytes: () => times(3000, (nonce) => said({ type: "ping", nonce })), code: "RATE_LIMITED" },
  { of: "pongs", bytes: () => times(3000, (nonce) => said({ type: "pong", nonce })), code: "RATE_LIMITED" },
  {
    of: "what it has of no transfer",
    bytes: () => times(3000, (transfer) => said({ type: "have", transfer, chunks: nothing, credit: 1 })),
    code: "RATE_LIMITED",
  },
  { of: "need", bytes: () => times(3000, () => said({ type: "need", set: "teacher" })), code: "MESSAGE_INVALID" },
  {
    of: "answers to no canary",
    bytes: () => times(3000, () => said({ type: "canary-answer", seed: 1, hash: 1 })),
    code: "MESSAGE_INVALID",
  },
  { of: "hellos", bytes: (_, worker) => times(1000, () => said(worker.hello())), code: "MESSAGE_INVALID" },
  { of: "empty messages", bytes: () => times(9000, () => rawFrame(nothing)), code: "MESSAGE_INVALID" },
  {
    of: "text messages",
    bytes: () => times(3000, () => rawFrame(Buffer.from("ready"), opcodes.text)),
    code: "MESSAGE_INVALID",
  },
  {
    of: "empty parts of one message",
    bytes: () =>
      Buffer.concat([
        rawFrame(nothing, opcodes.binary, false),
        times(9000, () => rawFrame(nothing, opcodes.continuation, false)),
      ]),
    code: "MESSAGE_INVALID",
  },
  { of: "WebSocket pings", bytes: () => times(9000, () => rawFrame(nothing, opcodes.ping)), code: "RATE_LIMITED" },
  { of: "WebSocket pongs", bytes: () => times(9000, () => rawFrame(nothing, opcodes.pong)), code: "RATE_LIMITED" },
  {
    of: "chunks that nobody offered",
    bytes: () => times(1500, () => rawFrame(encodeChunk(7, new Uint8Array(CHUNK_BYTES + 1), 1))),
    code: "TRANSFER_INVALID",
  },
  {
    of: "damaged contributions",
    bytes: (lease) => {
      const header = {
        kind: "contribution",
        codec: "exact",
        round: 0,
        lease,
        samples: 1,
        tensors: 0,
        run: "00".repeat(16),
        parametersHash: "00".repeat(32),
      } as const;
      const frame = encodeFrame(header, nothing);
      frame[24] ^= 1;
      return times(500, () => rawFrame(frame));
    },
    code: "FRAME_CORRUPT",
  },
];

test.each(floods)("a write full of $of ends in $code, and another works on beside it", async ({ bytes, code }) => {
  const { connect, coordination, events } = await startTestRun({ config: { lease: { maxMicrobatches: 1 } } });
  const flooder = await connect({ identity: newIdentity() }).join();
  const other = await connect().join();
  const { lease } = await flooder.lease();
  const first = await other.lease();
  // The ws package's own client would notice what is wrong with some of these.
  below(flooder.socket).write(bytes(lease, flooder));
  await other.answer(first);
  let heard = 0;
  for (let message = await flooder.take(); message !== "closed"; message = await flooder.take()) heard++;
  // It was answered no more often than it may say something.
  expect(heard).toBeLessThan(sessionLimits.messageRate.burst + 10);
  await other.answer(await other.lease());
  other.close();
  coordination.stop();
  await coordination.done;
  expect(await events()).toContainEqual(expect.objectContaining({ type: "left", worker: "w1", code }));
});

test("a message in more parts than a browser makes of a chunk closes the socket; one in fewer counts", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  const ping = encodeMessage({ type: "ping", nonce: 7 });
  const parts = (count: number) =>
    Buffer.concat(
      Array.from({ length: count }, (_, at) => {
        const last = at === count - 1;
        const opcode = at === 0 ? opcodes.binary : opcodes.continuation;
        return rawFrame(at === 0 ? ping.subarray(0, 5) : last ? ping.subarray(5) : nothing, opcode, last);
      }),
    );
  below(worker.socket).write(parts(MESSAGE_PARTS));
  expect(await worker.next("pong")).toEqual({ type: "pong", nonce: 7 });
  below(worker.socket).write(parts(MESSAGE_PARTS + 1));
  expect(await worker.take()).toBe("closed");
});

test("a worker whose leases are tiny is never told that it says too much", async () => {
  const { connect, coordination } = await startTestRun({
    config: { lease: { maxMicrobatches: 1, first: 1 } },
    limits: { messageRate: { perSecond: 1, burst: sessionLimits.messageRate.burst } },
  });
  const worker = await connect().join();
  expect(await worker.work()).toBe("ended");
  expect((await coordination.done).finished).toBe(true);
  // Far more than the burst: each lease brings in what the next one costs.
  expect(4 * worker.accepted.length).toBeGreaterThan(2 * sessionLimits.messageRate.burst);
});

test("who comes back to one session over and over is told RATE_LIMITED, and its session waits for it", async () => {
  const { connect } = await startTestRun({ limits: { resumeRate: { perSecond: 0.01, burst: 2 }, graceMs: 30_000 } });
  let worker = await connect().join();
  const { lease } = await worker.lease();
  for (let time = 0; time < 2; time++) {
    const next = connect({ after: worker });
    expect(await next.resume([lease])).toEqual([lease]);
    worker = next;
  }
  const often = await connect({ after: worker }).opened();
  often.send(often.hello({ resume: { session: worker.welcome.session, leases: [lease] } }));
  expect(await often.next("error")).toMatchObject({
    code: "RATE_LIMITED",
    retry: true,
    message: expect.stringMatching(/resumed more often .* come back in \d+ s/),
  });
  worker.send({ type: "ping", nonce: 3 });
  expect(await worker.next("pong")).toEqual({ type: "pong", nonce: 3 });
});

test("who comes back over a fresh connection may say no more than over one", async () => {
  const { connect } = await startTestRun({
    limits: { messageRate: { perSecond: 0.01, burst: 30 }, graceMs: 30_000 },
  });
  let worker = await connect().join();
  for (let nonce = 0; nonce < 20; nonce++) {
    worker.send({ type: "ping", nonce });
    expect((await worker.next("pong")).nonce).toBe(nonce);
  }
  const next = connect({ after: worker });
  await next.resume([]);
  worker = next;
  for (let nonce = 0; nonce < 20; nonce++) worker.send({ type: "ping", nonce });
  let answered = 0;
  for (let message = await worker.take(); message !== "closed"; message = await worker.take()) {
    if (message.type === "pong") answered++;
    if (message.type === "error") expect(message.code).toBe("RATE_LIMITED");
  }
  expect(answered).toBeLessThan(15);
});

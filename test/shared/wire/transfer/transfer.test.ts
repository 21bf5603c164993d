// Rules T of SPEC.md: the two halves of a transfer, over a way that loses, repeats, reorders and cuts.

import fc from "fast-check";
import { expect, test } from "vitest";
import { BitswarmError } from "../../../../shared/base/errors.ts";
import { rng } from "../../../../shared/base/rng.ts";
import {
  CHUNK_BYTES,
  chunkCount,
  chunkHeaderBytes,
  decodeChunk,
  encodeChunk,
  isChunk,
} from "../../../../shared/wire/chunk.ts";
import { ChunkSet } from "../../../../shared/wire/chunk-set.ts";
import { ChunkedFrame, type Have } from "../../../../shared/wire/transfer/chunk-sender.ts";
import { Incoming, inOwnMemory, WINDOW_CHUNKS } from "../../../../shared/wire/transfer/incoming.ts";
import { type Offer, Outgoing } from "../../../../shared/wire/transfer/outgoing.ts";

function frameOf(bytes: number, seed = 0): Uint8Array {
  const draws = rng(seed, "transfer");
  const frame = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i += 997) frame[i] = draws.uint32() & 255;
  return frame;
}

const failure = (code: string) => expect.objectContaining({ code });
const yes = () => true;

test("T1 a chunk is laid out byte for byte as the protocol says", () => {
  const chunk = encodeChunk(0x01020304, frameOf(CHUNK_BYTES + 3), 1);
  const view = new DataView(chunk.buffer);
  expect(String.fromCharCode(...chunk.subarray(0, 4))).toBe("BSWC");
  expect([...chunk.subarray(4, 8)]).toEqual([1, 0, 0, 0]);
  const words = [8, 12, 16, 20].map((at) => view.getUint32(at, true));
  expect(words).toEqual([0x01020304, CHUNK_BYTES + 3, 1, 3]);
  expect(chunk).toHaveLength(chunkHeaderBytes + 3);
  expect(isChunk(chunk)).toBe(true);
});

test("T2 a flipped bit anywhere in a chunk is detected", () => {
  const chunk = encodeChunk(7, frameOf(100), 0);
  for (let bit = 0; bit < chunk.length * 8; bit++) {
    const bad = chunk.slice();
    bad[bit >> 3] ^= 1 << (bit & 7);
    expect(() => decodeChunk(bad), `bit ${bit}`).toThrow(BitswarmError);
  }
});

/** One message on its way. */
type Message =
  | { readonly kind: "offer"; readonly offer: Offer }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array }
  | { readonly kind: "have"; readonly have: Have };

/** What happens to the message at the head of the way. */
const anyFate = fc.constantFrom("pass", "pass", "pass", "pass", "drop", "repeat", "delay", "cut");

test("T3 whatever is dropped, repeated, reordered or cut, the frame arrives bit by bit, and no more than the window is sent in vain", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: CHUNK_BYTES + 1, max: 12 * CHUNK_BYTES }),
      fc.array(anyFate, { maxLength: 120 }),
      (bytes, fates) => {
        const frame = frameOf(bytes, bytes);
        const outgoing = new Outgoing();
        const incoming = new Incoming({ limitBytes: bytes, allocate: inOwnMemory });
        outgoing.push({ kind: "frame", frame: new ChunkedFrame(1, frame), lease: 5 });
        let way: Message[] = [];
        let [arrived, sent, cuts] = [undefined as Uint8Array | undefined, 0, 0];
        const pump = () => {
          for (let next = outgoing.next(); next; next = outgoing.next()) {
            if (next.kind === "bytes") sent++;
            way.push(next.kind === "offer" ? next : { kind: "chunk", bytes: next.bytes });
          }
          expect(way.filter(({ kind }) => kind === "chunk").length).toBeLessThanOrEqual(WINDOW_CHUNKS + fates.length);
        };
        const cut = () => {
          cuts++;
          way = [];
          outgoing.interrupted();
        };
        const deliver = (message: Message) => {
          if (message.kind === "offer") way.push({ kind: "have", have: incoming.offered(message.offer, yes) });
          else if (message.kind === "have") outgoing.told(message.have);
          else {
            const taken = incoming.take(decodeChunk(message.bytes));
            if (taken.have) way.push({ kind: "have", have: taken.have });
            arrived ??= taken.frame;
          }
        };
        pump();
        for (let turn = 0; outgoing.length > 0; turn++) {
          expect(turn).toBeLessThan(5000);
          const message = way.shift();
          // Nothing is on its way and it is not done: what stalls is cut, and comes back.
          if (!message) cut();
          else {
            const fate = fates[turn] ?? "pass";
            // A chunk before its offer is the sender's mistake, which no way makes; chunks and words may change places.
            if (fate === "cut") cut();
            else if (fate === "delay" && message.kind !== "offer") way.push(message);
            else if (fate !== "drop") deliver(message);
            if (fate === "repeat" && message.kind !== "offer") way.push(message);
          }
          pump();
        }
        expect(arrived && Buffer.compare(arrived, frame)).toBe(0);
        expect(sent).toBeLessThanOrEqual(chunkCount(bytes) + cuts * WINDOW_CHUNKS);
      },
    ),
    { numRuns: 60 },
  );
});

test("T4 the sender keeps to the receiver's credit, and sends nothing before it has any", () => {
  const outgoing = new Outgoing();
  outgoing.push({ kind: "frame", frame: new ChunkedFrame(1, frameOf(20 * CHUNK_BYTES)), lease: 1 });
  expect(outgoing.next()?.kind).toBe("offer");
  expect(outgoing.next()).toBeUndefined();
  const none = new ChunkSet(20).bitmap;
  outgoing.told({ transfer: 1, chunks: none, credit: 3 });
  expect([1, 2, 3, 4].map(() => outgoing.next()?.kind)).toEqual(["bytes", "bytes", "bytes", undefined]);
  const one = new ChunkSet(20);
  one.add(1);
  outgoing.told({ transfer: 1, chunks: one.bitmap, credit: 3 });
  expect([1, 2].map(() => outgoing.next()?.kind)).toEqual(["bytes", undefined]);
});

test("T4 a receiver that gives credit without end is sent no more than a window ahead of its word", () => {
  const outgoing = new Outgoing();
  outgoing.push({ kind: "frame", frame: new ChunkedFrame(1, frameOf(20 * CHUNK_BYTES)), lease: 1 });
  outgoing.next();
  outgoing.told({ transfer: 1, chunks: new ChunkSet(20).bitmap, credit: Number.MAX_SAFE_INTEGER });
  let sent = 0;
  while (outgoing.next()) sent++;
  expect(sent).toBe(WINDOW_CHUNKS);
});

test("an offer takes no memory until a chunk of it is here", () => {
  const made: number[] = [];
  const allocate = (bytes: number) => {
    made.push(bytes);
    return new Uint8Array(bytes);
  };
  const frame = frameOf(2 * CHUNK_BYTES);
  const incoming = new Incoming({ limitBytes: frame.length, allocate });
  for (let transfer = 1; transfer <= 100; transfer++) {
    const have = incoming.offered({ transfer, bytes: frame.length, lease: 1 }, () => true);
    expect([have.credit, incoming.heldBytes]).toEqual([WINDOW_CHUNKS, frame.length]);
  }
  expect(made).toEqual([]);
  incoming.take(decodeChunk(encodeChunk(100, frame, 1)));
  expect(incoming.take(decodeChunk(encodeChunk(100, frame, 0))).frame).toEqual(frame);
  expect(made).toEqual([frame.length]);
});

test("a message waits for the frame before it to be on its way, and passes no other", () => {
  const outgoing = new Outgoing();
  const message = Uint8Array.of(1);
  outgoing.push({ kind: "frame", frame: new ChunkedFrame(1, frameOf(2 * CHUNK_BYTES)), lease: null });
  outgoing.push({ kind: "message", bytes: message });
  outgoing.next();
  expect(outgoing.next()).toBeUndefined();
  outgoing.told({ transfer: 1, chunks: new ChunkSet(2).bitmap, credit: 1 });
  outgoing.next();
  expect(outgoing.next()).toBeUndefined();
  outgoing.told({ transfer: 1, chunks: Uint8Array.of(1), credit: 1 });
  outgoing.next();
  expect(outgoing.next()).toEqual({ kind: "bytes", bytes: message });
});

test("T6 a frame that was let go may be sent again under the number of one that arrived whole, where the receiver repeats", () => {
  const frame = frameOf(CHUNK_BYTES + 1);
  const chunks = [0, 1].map((index) => decodeChunk(encodeChunk(9, frame, index)));
  const offer = { transfer: 9, bytes: frame.length, lease: null };
  const take = (incoming: Incoming) => {
    const have = incoming.offered(offer, yes);
    return [have.credit, ...chunks.map((chunk) => incoming.take(chunk).frame?.length)];
  };
  const again = new Incoming({ limitBytes: frame.length, repeats: true, allocate: inOwnMemory });
  expect([take(again), take(again)]).toEqual(Array(2).fill([WINDOW_CHUNKS, undefined, frame.length]));
  const known = new Incoming({ limitBytes: frame.length, allocate: inOwnMemory });
  take(known);
  expect(known.offered(offer, yes)).toEqual({ transfer: 9, chunks: Uint8Array.of(3), credit: 0 });
});

const bytes = 3 * CHUNK_BYTES - 5;
const good = { transfer: 1, totalBytes: bytes, index: 0, payload: new Uint8Array(CHUNK_BYTES) };
test.each([
  ["of a transfer that was not offered", { ...good, transfer: 2 }],
  ["that names another total", { ...good, totalBytes: bytes + 1 }],
  ["beyond the end", { ...good, index: 3 }],
  ["that is shorter than its place", { ...good, payload: new Uint8Array(CHUNK_BYTES - 1) }],
  ["that overlaps what follows", { ...good, index: 2, payload: new Uint8Array(CHUNK_BYTES) }],
])("T5 a chunk %s is TRANSFER_INVALID", (_, chunk) => {
  const incoming = new Incoming({ limitBytes: bytes, allocate: inOwnMemory });
  incoming.offered({ transfer: 1, bytes, lease: 1 }, yes);
  expect(() => incoming.take(chunk)).toThrow(failure("TRANSFER_INVALID"));
});

test("T5 an offer over the limit is FRAME_TOO_LARGE; a short one, one of two lengths and a chunk without credit are TRANSFER_INVALID", () => {
  const incoming = new Incoming({ limitBytes: bytes, allocate: inOwnMemory });
  const offered = (length: number, transfer = 1) =>
    incoming.offered({ transfer, bytes: length, lease: 1 }, () => false);
  expect(() => offered(bytes + 1)).toThrow(failure("FRAME_TOO_LARGE"));
  expect(() => offered(CHUNK_BYTES)).toThrow(failure("TRANSFER_INVALID"));
  expect(offered(bytes)).toEqual({ transfer: 1, chunks: Uint8Array.of(0), credit: 0 });
  expect(incoming.heldBytes).toBe(0);
  expect(() => incoming.take(good)).toThrow(failure("TRANSFER_INVALID"));
  expect(() => offered(bytes - 1)).toThrow(failure("TRANSFER_INVALID"));
});

test("T5 a bitmap that is not of the transfer is TRANSFER_INVALID", () => {
  const outgoing = new Outgoing();
  outgoing.push({ kind: "frame", frame: new ChunkedFrame(1, frameOf(bytes)), lease: 1 });
  outgoing.next();
  for (const bitmap of [Uint8Array.of(), Uint8Array.of(8), Uint8Array.of(0, 0)]) {
    expect(() => outgoing.told({ transfer: 1, chunks: bitmap, credit: 1 })).toThrow(failure("TRANSFER_INVALID"));
  }
});

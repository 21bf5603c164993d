// Any msgpack library can be a peer: integers come in every form that it may write, and are written as integers.

import { expect, test } from "vitest";
import { decodeCoordinatorMessage, decodeWorkerMessage, encodeMessage } from "../../../shared/wire/protocol.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const text = (word: string) => Buffer.concat([Buffer.from([0xa0 | word.length]), Buffer.from(word)]);
/** A ping whose nonce is these bytes. */
const ping = (nonce: Buffer) => Buffer.concat([Buffer.from([0x82]), text("type"), text("ping"), text("nonce"), nonce]);

const forms = {
  fixint: (value: number) => Buffer.from([value]),
  uint8: (value: number) => Buffer.from([0xcc, value]),
  uint16: (value: number) => Buffer.concat([Buffer.from([0xcd]), wide(2, (b) => b.writeUInt16BE(value))]),
  uint32: (value: number) => Buffer.concat([Buffer.from([0xce]), wide(4, (b) => b.writeUInt32BE(value))]),
  uint64: (value: number | bigint) =>
    Buffer.concat([Buffer.from([0xcf]), wide(8, (b) => b.writeBigUInt64BE(BigInt(value)))]),
  int8: (value: number) => Buffer.from([0xd0, value]),
  int16: (value: number) => Buffer.concat([Buffer.from([0xd1]), wide(2, (b) => b.writeInt16BE(value))]),
  int32: (value: number) => Buffer.concat([Buffer.from([0xd2]), wide(4, (b) => b.writeInt32BE(value))]),
  int64: (value: number | bigint) =>
    Buffer.concat([Buffer.from([0xd3]), wide(8, (b) => b.writeBigInt64BE(BigInt(value)))]),
  float32: (value: number) => Buffer.concat([Buffer.from([0xca]), wide(4, (b) => b.writeFloatBE(value))]),
  float64: (value: number) => Buffer.concat([Buffer.from([0xcb]), wide(8, (b) => b.writeDoubleBE(value))]),
};

function wide(bytes: number, write: (buffer: Buffer) => void): Buffer {
  const buffer = Buffer.alloc(bytes);
  write(buffer);
  return buffer;
}

test("an integer is the same in every form that msgpack has for it, of either side", () => {
  for (const form of Object.values(forms)) {
    const bytes = ping(form(7));
    expect(decodeWorkerMessage(bytes)).toEqual({ type: "ping", nonce: 7 });
    expect(decodeCoordinatorMessage(bytes)).toEqual({ type: "ping", nonce: 7 });
  }
  for (const value of [2 ** 32, 2 ** 33, 3202623968641024, Number.MAX_SAFE_INTEGER]) {
    for (const form of [forms.uint64, forms.int64, forms.float64]) {
      expect(decodeWorkerMessage(ping(form(value)))).toEqual({ type: "ping", nonce: value });
    }
  }
});

test.each([
  ["2^53", forms.uint64(2n ** 53n)],
  ["2^53 + 1", forms.int64(2n ** 53n + 1n)],
  ["2^64 - 1", forms.uint64(2n ** 64n - 1n)],
  ["-1", forms.int64(-1)],
  ["-(2^63)", forms.int64(-(2n ** 63n))],
  ["2^53 as a float", forms.float64(2 ** 53)],
  ["a half", forms.float64(0.5)],
  ["no number", forms.float64(Number.NaN)],
])("%s is no nonce", (_, nonce) => {
  expect(() => decodeWorkerMessage(ping(nonce))).toThrow(expect.objectContaining({ code: "MESSAGE_INVALID" }));
});

test("a worker's integer beyond 2^32 is answered as the same one, in 64 bits", async () => {
  const { connect } = await startTestRun();
  const worker = await connect().join();
  worker.socket.send(ping(forms.uint64(2 ** 33)));
  expect(await worker.next("pong")).toEqual({ type: "pong", nonce: 2 ** 33 });
  expect(Buffer.from(encodeMessage({ type: "pong", nonce: 2 ** 33 })).subarray(-9)).toEqual(forms.int64(2 ** 33));
});

test("what the coordinator says has its integers as integers, those within others too", async () => {
  const status = { samples: 2 ** 40, bytesPerWorker: { down: 2 ** 33, up: 5 }, samplesPerSecond: 0.5 } as RunStatus;
  const bytes = Buffer.from(encodeMessage({ type: "status", status }));
  expect(bytes.includes(forms.int64(2 ** 40))).toBe(true);
  expect(bytes.includes(forms.int64(2 ** 33))).toBe(true);
  expect(bytes.includes(forms.float64(0.5))).toBe(true);
  const { connect } = await startTestRun();
  // Of every lease the library of any language makes an integer, and an older worker a number.
  const lease = await (await connect().join()).lease();
  expect(lease.era).toBeLessThan(2 ** 32);
  const written = Buffer.from(encodeMessage(lease));
  expect(decodeCoordinatorMessage(written)).toEqual(lease);
  for (const [name, value] of Object.entries(lease)) {
    if (!Number.isInteger(value) || name === "innerLearningRate") continue;
    const first = written[written.indexOf(text(name)) + text(name).length];
    expect([0xca, 0xcb], name).not.toContain(first);
  }
});

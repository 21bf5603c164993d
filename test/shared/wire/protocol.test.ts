// The messages' rules: what is well-formed survives the wire, anything else is refused with a code and never a crash.
import fc from "fast-check";
import { expect, test } from "vitest";
import { BitswarmError, errorCodes } from "../../../shared/base/errors.ts";
import { MAX_MESSAGE_BYTES } from "../../../shared/wire/plain-message.ts";
import {
  decodeCoordinatorMessage,
  decodeWorkerMessage,
  encodeMessage,
  PROTOCOL_VERSION,
  type WorkerMessage,
} from "../../../shared/wire/protocol.ts";
import { MAX_TEXT } from "../../../shared/wire/text-limit.ts";

const hello: WorkerMessage = {
  type: "hello",
  publicKey: `04${"ab".repeat(64)}`,
  protocol: PROTOCOL_VERSION,
  token: "t",
  name: "n",
  runtime: "deno",
  adapter: { vendor: "v", architecture: "a", description: "d", software: true },
};

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(BitswarmError);
    return (error as BitswarmError).code;
  }
  return "none";
}

test("a message comes back as it was sent", () => {
  expect(decodeWorkerMessage(encodeMessage(hello))).toEqual(hello);
  const error = { type: "error", code: "TOKEN_INVALID", message: "no", retry: false } as const;
  expect(decodeCoordinatorMessage(encodeMessage(error))).toEqual(error);
});

test("unknown types, missing and unknown fields, and long texts are MESSAGE_INVALID", () => {
  const send = (value: object) => codeOf(() => decodeWorkerMessage(encodeMessage(value as WorkerMessage)));
  expect(send({ type: "dance" })).toBe("MESSAGE_INVALID");
  expect(send({ type: "ping" })).toBe("MESSAGE_INVALID");
  expect(send({ type: "ready", extra: 1 })).toBe("MESSAGE_INVALID");
  expect(send({ ...hello, name: "x".repeat(MAX_TEXT) })).toBe("none");
  expect(send({ ...hello, name: "x".repeat(MAX_TEXT + 1) })).toBe("MESSAGE_INVALID");
  expect(codeOf(() => decodeWorkerMessage(encodeMessage(hello).subarray(0, 20)))).toBe("MESSAGE_INVALID");
});

test("a control message over MAX_MESSAGE_BYTES is FRAME_TOO_LARGE", () => {
  expect(codeOf(() => decodeWorkerMessage(new Uint8Array(MAX_MESSAGE_BYTES + 1)))).toBe("FRAME_TOO_LARGE");
});

test("any bytes decode or are refused with a code", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(["none", "MESSAGE_INVALID"]).toContain(codeOf(() => decodeWorkerMessage(bytes)));
    }),
    { numRuns: 2000 },
  );
});

test("any damage to one byte of a message decodes or is refused with a code", () => {
  const bytes = encodeMessage(hello);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
      const damaged = Uint8Array.from(bytes);
      damaged[at] = value;
      expect(["none", "MESSAGE_INVALID"]).toContain(codeOf(() => decodeWorkerMessage(damaged)));
    }),
  );
});

test("every error code has a close code that WebSocket lets an application send, or 1009", () => {
  const closes = Object.values(errorCodes);
  expect(new Set(closes).size).toBe(closes.length);
  for (const code of closes) expect(code === 1009 || (code >= 4000 && code < 5000)).toBe(true);
});

// What a frame of parameters says of itself.
import { expect, test } from "vitest";
import { decodeFrame, encodeFrame, frameHeaderBytes } from "../../../shared/wire/frame.ts";
import { encodeParameters, parametersFrameLimit, readParameters } from "../../../shared/wire/parameter-frame.ts";

const sets = ["teacher", "student", "discriminators"];
const run = "0123456789abcdef".repeat(2);
const hash = "ab".repeat(32);
const base = "cd".repeat(32);
const body = Uint8Array.of(1, 2, 3);
const corrupt = expect.objectContaining({ code: "FRAME_CORRUPT" });

test.each([
  ["teacher", null],
  ["student", base],
  ["discriminators", base],
] as const)("D3 a frame of the %s names its set, its hash and its base %s", (set, from) => {
  const bytes = encodeParameters(run, sets, 5, { set, hash, base: from, body });
  expect(bytes.length).toBeLessThanOrEqual(parametersFrameLimit(body.length));
  const frame = decodeFrame(bytes, bytes.length);
  expect(frame.header).toMatchObject({ kind: from === null ? "parameters" : "parameters-change", round: 5 });
  expect(readParameters(run, sets, frame)).toEqual({ set, hash, base: from, body });
  expect([...bytes.subarray(frameHeaderBytes + 1, frameHeaderBytes + 4)]).toEqual([0, 0, 0]);
});

const header = { codec: "none", round: 0, lease: 0, samples: 0, tensors: 0, run, parametersHash: hash } as const;

test.each([
  ["of another run", { ...header, kind: "parameters", run: "00".repeat(16) }, [0, 0, 0, 0]],
  ["that is a contribution", { ...header, kind: "contribution" }, [0, 0, 0, 0]],
  ["of an unknown set", { ...header, kind: "parameters" }, [3, 0, 0, 0]],
  ["with more than zeros behind the set", { ...header, kind: "parameters" }, [1, 0, 1, 0]],
  ["without a payload", { ...header, kind: "parameters" }, []],
  ["that ends within the base's hash", { ...header, kind: "parameters-change" }, [1, 0, 0, 0, 9, 9]],
] as const)("a frame %s is refused with FRAME_CORRUPT", (_, head, payload) => {
  const frame = decodeFrame(encodeFrame(head, Uint8Array.from(payload)), 1000);
  expect(() => readParameters(run, sets, frame)).toThrow(corrupt);
});

// Frames that bring parameters: which set, whole or as a change, and of what. The header's hash is that of the expanded
// blob.

import { BitswarmError } from "../base/errors.ts";
import { bytesToHex, hexToBytes } from "../base/hash.ts";
import { encodeFrame, type Frame, frameHeaderBytes } from "./frame.ts";
import type { ParameterSet } from "./parameter-set.ts";

/** At the head of the payload: the set's number and three zeros; a change has the base's SHA-256 after them. */
const setBytes = 4;
const baseBytes = 32;

/** Bytes of the largest frame of a set whose whole update has so many: a change is sent only where it is smaller. */
export function parametersFrameLimit(wholeBytes: number): number {
  return frameHeaderBytes + setBytes + baseBytes + wholeBytes;
}

export interface ParametersFrame {
  readonly set: ParameterSet;
  /** SHA-256 of the expanded blob, in hex. */
  readonly hash: string;
  /** Hash of the blob that it changes; null where it is whole. */
  readonly base: string | null;
  /** A view of the frame's bytes. */
  readonly body: Uint8Array;
}

/**
 * @param run 16 bytes in hex
 * @param sets of the run, in the order that numbers them
 */
export function encodeParameters(
  run: string,
  sets: readonly ParameterSet[],
  round: number,
  { set, hash, base, body }: ParametersFrame,
): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(setBytes);
  const number = sets.indexOf(set);
  if (number < 0) throw new RangeError(`no parameter set ${set}; the run has ${sets.join(", ")}`);
  head[0] = number;
  const kind = base === null ? "parameters" : "parameters-change";
  return encodeFrame(
    { kind, codec: "none", round, lease: 0, samples: 0, tensors: 0, run, parametersHash: hash },
    head,
    ...(base === null ? [] : [hexToBytes(base)]),
    body,
  );
}

/** @throws FRAME_CORRUPT for a frame of another kind or run, or whose payload has no such head */
export function readParameters(
  run: string,
  sets: readonly ParameterSet[],
  { header, payload }: Frame,
): ParametersFrame {
  const { kind, parametersHash: hash } = header;
  if ((kind !== "parameters" && kind !== "parameters-change") || header.run !== run) {
    throw new BitswarmError(
      "FRAME_CORRUPT",
      `a ${kind} frame of run ${header.run} came; only parameters of ${run} are due`,
    );
  }
  const headBytes = kind === "parameters" ? setBytes : setBytes + baseBytes;
  const set = sets[payload[0] ?? sets.length];
  if (payload.length < headBytes || set === undefined || payload[1] || payload[2] || payload[3]) {
    throw new BitswarmError(
      "FRAME_CORRUPT",
      `a ${kind} frame's payload of ${payload.length} bytes begins with ${bytesToHex(payload.subarray(0, setBytes))}; known sets are 0 to ${sets.length - 1}, then zeros`,
    );
  }
  const base = kind === "parameters" ? null : bytesToHex(payload.subarray(setBytes, headBytes));
  return { set, hash, base, body: payload.subarray(headBytes) };
}

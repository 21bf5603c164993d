// Every reader of bytes that a peer sends, with good bytes to start from. A reader that is not in this list is not
// fuzzed.

import { Packr } from "msgpackr";
import { z } from "zod";
import { crc32c } from "../../shared/base/crc32c.ts";
import { type Rng, rng } from "../../shared/base/rng.ts";
import { decodeFrame, encodeFrame, type FrameHeader, frameHeaderBytes } from "../../shared/wire/frame.ts";
import {
  coordinatorMessageSchema,
  decodeCoordinatorMessage,
  decodeWorkerMessage,
  helloProtocol,
  workerMessageSchema,
} from "../../shared/wire/protocol.ts";
import { instanceOf, type JsonSchema } from "./instance.ts";
import { damaged, distorted } from "./mutate.ts";

export interface FuzzTarget {
  readonly name: string;
  /** Of all inputs. */
  readonly share: number;
  /** The next input. */
  readonly input: (draws: Rng) => Uint8Array;
  /** Reads it; may throw a BitswarmError and nothing else. */
  readonly read: (bytes: Uint8Array) => void;
}

const packr = new Packr({ useRecords: false });

/** Good messages of each type to start from. */
const INSTANCES = 24;

/** Good messages of a schema, damaged as values or as bytes, or not at all. */
function messages(schema: z.ZodType): (draws: Rng) => Uint8Array {
  const { oneOf: options = [] } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;
  const good = options.flatMap((option, type) =>
    Array.from({ length: INSTANCES }, (_, i) => {
      const value = instanceOf(option, rng("good messages", type, i));
      return { value, bytes: packr.pack(value) };
    }),
  );
  const any = (draws: Rng) => good[draws.below(good.length)];
  return (draws) => {
    const { value, bytes } = any(draws);
    return damagedOrNot(draws.below(2) === 0 ? packr.pack(distorted(value, draws)) : bytes, any(draws).bytes, draws);
  };
}

function damagedOrNot(bytes: Uint8Array, other: Uint8Array, draws: Rng): Uint8Array {
  return draws.below(2) === 0 ? bytes : damaged(bytes, other, draws);
}

const hex = (bytes: number, draws: Rng) => instanceOf({ type: "string", pattern: `^[0-9a-f]{${2 * bytes}}$` }, draws);

function frame(draws: Rng): Uint8Array<ArrayBuffer> {
  const header: FrameHeader = {
    kind: (["parameters", "contribution", "parameters-change"] as const)[draws.below(3)],
    codec: (["none", "f32", "int8", "exact"] as const)[draws.below(4)],
    round: draws.uint32(),
    lease: draws.uint32(),
    samples: draws.uint32(),
    tensors: draws.below(8),
    run: String(hex(16, draws)),
    parametersHash: String(hex(32, draws)),
  };
  return encodeFrame(
    header,
    Uint8Array.from({ length: draws.below(64) }, () => draws.below(256)),
  );
}

/** Damaged frames, half of them with a CRC that is right again: a peer that means it. */
function frames(draws: Rng): Uint8Array {
  const bytes = Uint8Array.from(damagedOrNot(frame(draws), frame(draws), draws));
  if (bytes.length < frameHeaderBytes || draws.below(2) === 0) return bytes;
  const view = new DataView(bytes.buffer);
  view.setUint32(20, 0, true);
  view.setUint32(20, crc32c(bytes), true);
  return bytes;
}

export const fuzzTargets: readonly FuzzTarget[] = [
  { name: "frame", share: 0.4, input: frames, read: (bytes) => decodeFrame(bytes, 1 << 20) },
  { name: "message of a worker", share: 0.3, input: messages(workerMessageSchema), read: decodeWorkerMessage },
  {
    name: "message of the coordinator",
    share: 0.25,
    input: messages(coordinatorMessageSchema),
    read: decodeCoordinatorMessage,
  },
  { name: "protocol of a hello", share: 0.05, input: messages(workerMessageSchema), read: helloProtocol },
];

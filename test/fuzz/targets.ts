// Every reader of bytes that a peer sends, with good bytes to start from. A reader that is not in this list is not
// fuzzed.

import { Packr } from "msgpackr";
import { z } from "zod";
import { crc32c } from "../../shared/base/crc32c.ts";
import { type Rng, rng } from "../../shared/base/rng.ts";
import { readShard, writeShard } from "../../shared/data/shard-layout.ts";
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

const shardLayout = {
  format: { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 2 },
  shape: { h: 1, w: 1, c: 3 },
} as const;
const SHARD_SAMPLES = 5;

/** A shard whose bytes hash to its name is what a coordinator that lies may send. */
function shards(draws: Rng): Uint8Array {
  const shard = () => {
    const writer = writeShard(shardLayout, SHARD_SAMPLES, () => String(hex(32, draws)));
    for (let i = 0; i < SHARD_SAMPLES; i++) {
      writer.add({ content: new Uint8Array(draws.below(40)).fill(i), target: Uint8Array.of(i, 0) });
    }
    return writer.take().bytes;
  };
  return damagedOrNot(shard(), shard(), draws);
}

/** Every sample of a shard that is one. */
function readAllOf(bytes: Uint8Array): void {
  const rows = readShard(shardLayout, bytes, SHARD_SAMPLES, "a shard");
  for (let row = 0; row < SHARD_SAMPLES; row++) {
    if (rows(row).target.length !== 2) throw new RangeError(`row ${row} has no target`);
  }
}

export const fuzzTargets: readonly FuzzTarget[] = [
  { name: "frame", share: 0.35, input: frames, read: (bytes) => decodeFrame(bytes, 1 << 20) },
  { name: "message of a worker", share: 0.3, input: messages(workerMessageSchema), read: decodeWorkerMessage },
  {
    name: "message of the coordinator",
    share: 0.25,
    input: messages(coordinatorMessageSchema),
    read: decodeCoordinatorMessage,
  },
  { name: "shard of chunks", share: 0.05, input: shards, read: readAllOf },
  { name: "protocol of a hello", share: 0.05, input: messages(workerMessageSchema), read: helloProtocol },
];

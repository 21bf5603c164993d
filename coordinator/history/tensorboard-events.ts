// The history as TensorBoard's event files have it: TFRecords (tensorflow/core/lib/io/record_writer.h) of the messages
// Event and Summary (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto), of which these few
// fields are written.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { crc32c } from "../../shared/base/crc32c.ts";
import type { HistoryEvaluation, HistoryLine, Table } from "./history-line.ts";

/** TensorBoard takes a file for one of events by this. */
export const EVENTS_PREFIX = "events.out.tfevents.";
const FILE_VERSION = "brain.Event:2";
/** Of SessionLog: what was shown from this step on no longer stands. */
const SESSION_START = 1;

/** A CRC of data that may hold CRCs is masked (record_writer.h). */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** u64 length, its CRC, the data, its CRC; all little-endian. */
export function tfRecord(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setUint32(0, data.length, true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc(data), true);
  return record;
}

function event(seconds: number, step: number, write: (writer: BinaryWriter) => void): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Bit64).double(seconds);
  writer.tag(2, WireType.Varint).int64(step);
  write(writer);
  return tfRecord(writer.finish());
}

type Scalars = readonly (readonly [tag: string, value: number])[];

/** One event with all of a step's numbers; nothing where there are none. */
function scalars(seconds: number, step: number, values: Scalars): Uint8Array<ArrayBuffer> {
  const finite = values.filter(([, value]) => Number.isFinite(value));
  if (finite.length === 0) return new Uint8Array(0);
  return event(seconds, step, (writer) => {
    writer.tag(5, WireType.LengthDelimited).fork();
    for (const [tag, value] of finite) {
      writer.tag(1, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.LengthDelimited).string(tag);
      writer.tag(2, WireType.Bit32).float(value);
      writer.join();
    }
    writer.join();
  });
}

/** A chart's title, and the group that stands before its stroke. */
function tagOf(table: Table, name: string): string {
  if (table === "layers") return name;
  const at = name.indexOf(".");
  return at < 0 ? `run/${name}` : `${name.slice(0, at)}/${name.slice(at + 1)}`;
}

function evaluationScalars({ network, score, value, others }: HistoryEvaluation): Scalars {
  const named = Object.entries({ [score]: value, ...others });
  return named.map(([name, one]) => [`evaluation/${network} ${name}`, one]);
}

/** Lines of history as records. */
export class TensorboardEvents {
  readonly #columns: Partial<Record<Table, readonly string[]>> = {};

  /** What a file begins with. @param time milliseconds since 1970 */
  head(time: number): Uint8Array<ArrayBuffer> {
    const seconds = time / 1000;
    const version = event(seconds, 0, (writer) => writer.tag(3, WireType.LengthDelimited).string(FILE_VERSION));
    const start = event(seconds, 0, (writer) => {
      writer.tag(7, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.Varint).int32(SESSION_START);
      writer.join();
    });
    return Buffer.concat([version, start]);
  }

  /** Records of a line; none of one that has no numbers. */
  recordOf(line: HistoryLine): Uint8Array<ArrayBuffer> {
    switch (line.kind) {
      case "begin":
      case "pass":
        return new Uint8Array(0);
      case "columns":
        this.#columns[line.table] = line.columns.map((name) => tagOf(line.table, name));
        return new Uint8Array(0);
      case "row": {
        const tags = this.#columns[line.table] ?? [];
        const values = tags.map((tag, i) => [tag, line.values[i]] as const);
        return scalars(line.time / 1000, line.step, values);
      }
      case "evaluation": {
        const { step, time } = line.evaluation;
        return scalars((time ?? 0) / 1000, step, evaluationScalars(line.evaluation));
      }
      default:
        return line satisfies never;
    }
  }
}

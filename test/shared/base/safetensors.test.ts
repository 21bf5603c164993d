// Rules of tensor files.
import fc from "fast-check";
import { expect, test } from "vitest";
import { BitswarmError } from "../../../shared/base/errors.ts";
import {
  dtypeBytes,
  float32Of,
  headerLimitBytes,
  int32Of,
  readSafetensors,
  type SafeTensor,
  tensorOf,
  writeSafetensors,
} from "../../../shared/base/safetensors.ts";
import { decodeText, encodeText } from "../../../shared/base/text.ts";

/** A file with this header, whatever it says, and `dataBytes` zeros. */
function fileOf(header: string, dataBytes = 0, announced = encodeText(header).length): Uint8Array {
  const text = encodeText(header);
  const file = new Uint8Array(8 + text.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(announced), true);
  file.set(text, 8);
  return file;
}

function entry(dtype: string, shape: readonly number[], from: number, to: number): string {
  return JSON.stringify({ dtype, shape, data_offsets: [from, to] });
}

const invalid = (message: RegExp) =>
  expect.objectContaining({ code: "SAFETENSORS_INVALID", message: expect.stringMatching(message) });

const anyName = fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name !== "__metadata__");
const dtypes = Object.keys(dtypeBytes) as (keyof typeof dtypeBytes)[];
const anyTensor = fc
  .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(4), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const length = shape.reduce((product, axis) => product * axis, dtypeBytes[dtype]);
    const bytes = fc.uint8Array({ minLength: length, maxLength: length });
    return bytes.map((b): SafeTensor => ({ dtype, shape, bytes: b }));
  });
const anyTensors = fc
  .uniqueArray(fc.tuple(anyName, anyTensor), { selector: ([name]) => name, maxLength: 6 })
  .map((entries) => new Map(entries));
const anyMetadata = fc.dictionary(anyName, fc.string({ unit: "grapheme" }), { maxKeys: 4, noNullPrototype: true });

test("what is written is read back: names, order, dtypes, shapes, bytes, metadata", () => {
  fc.assert(
    fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
      const read = readSafetensors(writeSafetensors(tensors, metadata));
      expect(read.metadata).toEqual(metadata);
      expect(read.tensors).toEqual(tensors);
      const filled = (map: ReadonlyMap<string, SafeTensor>) =>
        [...map].filter(([, { bytes }]) => bytes.length > 0).map(([name]) => name);
      expect(filled(read.tensors)).toEqual(filled(tensors));
    }),
  );
});

test("the header is padded with spaces to 8 bytes, and equal contents give equal bytes", () => {
  fc.assert(
    fc.property(anyTensors, anyMetadata, (tensors, metadata) => {
      const file = writeSafetensors(tensors, metadata);
      const headerBytes = new DataView(file.buffer).getUint32(0, true);
      expect(headerBytes % 8).toBe(0);
      expect(decodeText(file.subarray(8, 8 + headerBytes))).toMatch(/^\{.*\} {0,7}$/s);
      const reversed = Object.fromEntries(Object.entries(metadata).reverse());
      expect(writeSafetensors(tensors, reversed)).toEqual(file);
    }),
  );
});

test("a file is laid out byte for byte as the format says", () => {
  const file = writeSafetensors([["w", tensorOf(Float32Array.of(1, -2), [2, 1])]], { op: "conv" });
  const header = '{"__metadata__":{"op":"conv"},"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}';
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  const data = [0x00, 0x00, 0x80, 0x3f, 0x00, 0x00, 0x00, 0xc0];
  expect([...file]).toEqual([padded.length, 0, 0, 0, 0, 0, 0, 0, ...encodeText(padded), ...data]);
});

test("tensors are read at any alignment, from a Buffer too, and are views of the file", () => {
  const file = writeSafetensors([["x", tensorOf(Float32Array.of(1, 2, 3), [3])]]);
  for (let shift = 0; shift < 4; shift++) {
    const buffer = Buffer.alloc(file.length + shift);
    buffer.set(file, shift);
    const tensor = readSafetensors(buffer.subarray(shift)).tensors.get("x")!;
    expect(tensor.bytes.buffer).toBe(buffer.buffer);
    const values = float32Of(tensor);
    expect(values).toEqual(Float32Array.of(1, 2, 3));
    values[0] = 9;
    expect(float32Of(tensor)[0]).toBe(1);
  }
});

test("tensors may stand in the header in another order than in the data", () => {
  const file = fileOf(`{"b":${entry("U8", [2], 1, 3)},"a":${entry("U8", [1], 0, 1)}}`, 3);
  expect([...readSafetensors(file).tensors.keys()]).toEqual(["a", "b"]);
});

test("a header over the format's cap is refused before it is read", () => {
  expect(() => readSafetensors(fileOf("{}", 0, headerLimitBytes + 1))).toThrow(invalid(/100000001.*100000000/));
  const huge = fileOf("{}");
  huge.fill(0xff, 0, 8);
  expect(() => readSafetensors(huge)).toThrow(invalid(/limit/));
});

test("a file that ends early says where", () => {
  expect(() => readSafetensors(new Uint8Array(7))).toThrow(invalid(/7 bytes/));
  expect(() => readSafetensors(fileOf("{}", 0, 3))).toThrow(invalid(/byte 11.*has 10/));
  expect(() => readSafetensors(fileOf(`{"a":${entry("U8", [4], 0, 4)}}`, 3))).toThrow(invalid(/tensor a.*4.*3/));
});

test("a header that is not a JSON object of entries is refused", () => {
  for (const header of ["", "{", "[]", "null", "3", '"x"', "{}x", "\u0000"]) {
    expect(() => readSafetensors(fileOf(header)), header).toThrow(invalid(/header/));
  }
  const notUtf8 = fileOf("{}");
  notUtf8[8] = 0xff;
  expect(() => readSafetensors(notUtf8)).toThrow(invalid(/UTF-8/));
  const entries = ["3", "null", "{}", '{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}', entry("U8", [0.5], 0, 0)];
  entries.push('{"dtype":"U8","shape":[],"data_offsets":[0]}', '{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}');
  for (const text of entries) {
    expect(() => readSafetensors(fileOf(`{"a":${text}}`, 1)), text).toThrow(invalid(/tensor a: entry/));
  }
  expect(() => readSafetensors(fileOf('{"__metadata__":[]}'))).toThrow(invalid(/__metadata__/));
});

test("a tensor of a dtype that is not known is kept apart, an inherited property's name too", () => {
  for (const dtype of ["F8", "f32", "toString", "__proto__"]) {
    const file = fileOf(`{"a":${entry(dtype, [1], 0, 4)},"b":${entry("U8", [2], 4, 6)}}`, 6);
    const { tensors, foreign } = readSafetensors(file);
    expect([...tensors.keys()]).toEqual(["b"]);
    expect([...foreign]).toEqual([["a", { dtype, shape: [1] }]]);
    expect(() => readSafetensors(fileOf(`{"a":${entry(dtype, [1], 4, 0)}}`, 4))).toThrow(invalid(/tensor a: .* end/));
    expect(() => readSafetensors(fileOf(`{"a":${entry(dtype, [1], 0, 9)}}`, 4))).toThrow(invalid(/truncated/));
  }
});

test("metadata that are no text, which some writers write, are JSON", () => {
  const { metadata } = readSafetensors(fileOf('{"__metadata__":{"a":1,"b":"x","c":[null]}}'));
  expect(metadata).toEqual({ a: "1", b: "x", c: "[null]" });
});

test("offsets that do not fit the shape are refused", () => {
  expect(() => readSafetensors(fileOf(`{"a":${entry("F32", [2], 0, 4)}}`, 4))).toThrow(
    invalid(/takes 8 bytes.*span 4/),
  );
  expect(() => readSafetensors(fileOf(`{"a":${entry("U8", [0], 4, 0)}}`, 4))).toThrow(invalid(/span -4/));
  expect(() => readSafetensors(fileOf(`{"a":${entry("U8", [2 ** 40, 2 ** 40], 0, 4)}}`, 4))).toThrow(invalid(/2\^53/));
});

test("overlaps, gaps and bytes that no tensor owns are refused", () => {
  const two = (from: number) => `{"a":${entry("U8", [2], 0, 2)},"b":${entry("U8", [2], from, from + 2)}}`;
  expect(readSafetensors(fileOf(two(2), 4)).tensors.size).toBe(2);
  expect(() => readSafetensors(fileOf(two(1), 3))).toThrow(invalid(/tensor b.*starts at byte 1.*ends at 2/));
  expect(() => readSafetensors(fileOf(two(3), 5))).toThrow(invalid(/starts at byte 3.*ends at 2/));
  expect(() => readSafetensors(fileOf(two(2), 5))).toThrow(invalid(/end at byte 4.*5/));
  expect(() => readSafetensors(fileOf(`{"a":${entry("U8", [1], 1, 2)}}`, 2))).toThrow(invalid(/starts at byte 1/));
});

test("truncated or changed bytes give a file or SAFETENSORS_INVALID, nothing else", () => {
  const changes = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 4 });
  fc.assert(
    fc.property(anyTensors, anyMetadata, changes, fc.option(fc.nat(400)), (tensors, metadata, edits, end) => {
      const file = writeSafetensors(tensors, metadata);
      for (const [at, byte] of edits) if (at < file.length) file[at] = byte;
      try {
        readSafetensors(end === null ? file : file.subarray(0, end));
      } catch (error) {
        if (!(error instanceof BitswarmError) || error.code !== "SAFETENSORS_INVALID") throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

test("any JSON as a header gives a file or SAFETENSORS_INVALID, nothing else", () => {
  const offset = fc.oneof(fc.nat(8), fc.double(), fc.integer());
  const field = fc.oneof(fc.constantFrom<unknown>(...dtypes, "F9", null, 1), fc.array(offset, { maxLength: 3 }));
  const fields = fc.record({ dtype: field, shape: field, data_offsets: field }, { requiredKeys: [] });
  const name = fc.oneof(anyName, fc.constantFrom("__metadata__", "__proto__", "constructor"));
  fc.assert(
    fc.property(fc.dictionary(name, fc.oneof(fields, fc.jsonValue())), fc.nat(16), (header, dataBytes) => {
      try {
        readSafetensors(fileOf(JSON.stringify(header), dataBytes));
      } catch (error) {
        if (!(error instanceof BitswarmError) || error.code !== "SAFETENSORS_INVALID") throw error;
      }
    }),
    { numRuns: 1000 },
  );
});

test("a tensor that does not fit its shape, a reserved or a repeated name is not written", () => {
  const tensor = tensorOf(Float32Array.of(1), [1]);
  expect(() => writeSafetensors([["a", { ...tensor, shape: [2] }]])).toThrow(invalid(/takes 8 bytes.*got 4/));
  expect(() => writeSafetensors([["__metadata__", tensor]])).toThrow(invalid(/taken/));
  expect(() => writeSafetensors(["a", "a"].map((name) => [name, tensor] as const))).toThrow(invalid(/tensor a.*taken/));
});

test("float32Of widens F16 and BF16 exactly and rounds F64", () => {
  const of = (dtype: SafeTensor["dtype"], data: Uint16Array | Float64Array) =>
    Array.from(float32Of({ dtype, shape: [data.length], bytes: new Uint8Array(data.buffer) }));
  // 1, −2, 65504, 2^-24, 2^-14, 1/3, −0, ∞, −∞, NaN
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x3555, 0x8000, 0x7c00, 0xfc00, 0x7e00);
  const third = 0.333251953125;
  expect(of("F16", halves)).toEqual([1, -2, 65504, 2 ** -24, 2 ** -14, third, -0, Infinity, -Infinity, NaN]);
  expect(of("BF16", Uint16Array.of(0x3f80, 0xc000, 0x8000, 0x7f80, 0x0001))).toEqual([1, -2, -0, Infinity, 2 ** -133]);
  expect(of("F64", Float64Array.of(0.1, 1e300))).toEqual([Math.fround(0.1), Infinity]);
});

test("int32Of takes every integer dtype and refuses what does not fit", () => {
  const of = (dtype: SafeTensor["dtype"], data: { readonly buffer: ArrayBuffer; readonly length: number }) =>
    Array.from(int32Of({ dtype, shape: [data.length], bytes: new Uint8Array(data.buffer) }));
  expect(of("I32", Int32Array.of(-5, 2 ** 31 - 1))).toEqual([-5, 2 ** 31 - 1]);
  expect(of("I64", BigInt64Array.of(-5n, 7n))).toEqual([-5, 7]);
  expect(of("U64", BigUint64Array.of(7n))).toEqual([7]);
  expect(of("U32", Uint32Array.of(7))).toEqual([7]);
  expect(of("U8", Uint8Array.of(200))).toEqual([200]);
  expect(of("BOOL", Uint8Array.of(1))).toEqual([1]);
  expect(of("I8", Int8Array.of(-3))).toEqual([-3]);
  expect(of("I16", Int16Array.of(-300))).toEqual([-300]);
  expect(of("U16", Uint16Array.of(65535))).toEqual([65535]);
  expect(() => of("I64", BigInt64Array.of(0n, 2n ** 31n))).toThrow(invalid(/element 1 is 2147483648/));
  expect(() => of("U32", Uint32Array.of(2 ** 31))).toThrow(invalid(/outside of int32/));
  expect(() => of("F32", Float32Array.of(1))).toThrow(invalid(/integers/));
  expect(() => float32Of(tensorOf(Int32Array.of(1), [1]))).toThrow(invalid(/I32.*F32/));
});

test("tensorOf names the dtype of a typed array and keeps its bytes", () => {
  const arrays = [Float32Array.of(1.5), Float64Array.of(1.5), Int32Array.of(-1), Uint32Array.of(1), Uint8Array.of(1)];
  expect(arrays.map((array) => tensorOf(array, [1]).dtype)).toEqual(["F32", "F64", "I32", "U32", "U8"]);
  const part = Float32Array.of(1, 2, 3).subarray(1, 2);
  expect(float32Of(tensorOf(part, [1]))).toEqual(Float32Array.of(2));
});

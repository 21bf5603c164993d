// Rules of reading an exported network: whatever a stranger's bytes say, it is a model whose every tensor is there, or
// an error with a code.

import fc from "fast-check";
import { expect, test } from "vitest";
import { writeOnnx } from "../../../coordinator/export/onnx/onnx-model.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { readSafetensors, type SafeTensor, tensorOf, writeSafetensors } from "../../../shared/base/safetensors.ts";
import {
  LONGEST_NAME,
  MOST_CHANNELS,
  MOST_DESCRIPTION,
  MOST_PLANES,
  MOST_SIDE,
  MOST_WINDOW,
  planesOf,
  readExported,
} from "../../../shared/export/read-exported.ts";
import { MOST_NODES } from "../../../shared/model/graph.ts";
import { drawnTracker } from "../../fixtures/drawn-tracker.ts";
import { tinyExport } from "../../fixtures/tiny-export.ts";

const file = tinyExport({ kind: "rbcn" });
const { metadata, tensors } = readSafetensors(file);
const tracker = readSafetensors(drawnTracker());

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** The file with one field of its description set to another value, or taken out. */
function withField(
  path: readonly (string | number)[],
  value: Json | undefined,
  { metadata: said, tensors: own } = { metadata, tensors },
): Uint8Array {
  const model = JSON.parse(said.model!);
  const last = path.at(-1)!;
  const parent = path.slice(0, -1).reduce((at, name) => at[name], model);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return writeSafetensors(own, { ...said, model: JSON.stringify(model) });
}

const invalid = (message: RegExp) =>
  expect.objectContaining({ code: "MODEL_INVALID", message: expect.stringMatching(message) });

/** Every path in a document. */
function pathsIn(value: unknown, path: readonly (string | number)[] = []): readonly (readonly (string | number)[])[] {
  if (typeof value !== "object" || value === null) return [path];
  const own = Array.isArray(value) ? value.map((_, i) => i) : Object.keys(value);
  return [...(path.length > 0 ? [path] : []), ...own.flatMap((name) => pathsIn(value[name as never], [...path, name]))];
}

test.each([
  ["classes", { metadata, tensors }],
  ["a target to follow", tracker],
])("X5 whatever a field says of a file for %s, it is a model or MODEL_INVALID", (_, of) => {
  const paths = pathsIn(JSON.parse(of.metadata.model!));
  const anyValue = fc.oneof(
    fc.constant(undefined),
    fc.integer(),
    fc.constantFrom(-1, 0, 0.5, 1e9, 2 ** 53, "", "conv", null, true),
    fc.jsonValue({ maxDepth: 2 }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...paths), anyValue, (path, value) => {
      try {
        const { nodes, shapes, tensors: read } = readExported(withField(path, value as Json, of));
        expect(shapes).toHaveLength(nodes.length);
        for (const node of nodes) for (const name of Object.values(node.tensors)) expect(read.has(name)).toBe(true);
      } catch (error) {
        if (!(error instanceof BitswarmError) || error.code !== "MODEL_INVALID") throw error;
      }
    }),
    { numRuns: 1000 },
  );
});

test("X5 truncated or changed bytes are a model, MODEL_INVALID or SAFETENSORS_INVALID", () => {
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
      const bytes = cut ? file.slice(0, at) : Uint8Array.from(file);
      if (!cut) bytes[at] = byte;
      try {
        readExported(bytes);
      } catch (error) {
        if (!(error instanceof BitswarmError) || !/^(MODEL|SAFETENSORS)_INVALID$/.test(error.code)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});

const conv = JSON.parse(metadata.model!).nodes.findIndex(({ op }: { readonly op: string }) => op === "rbconv");

test.each<readonly [readonly (string | number)[], Json, RegExp]>([
  [["nodes", conv, "kernel"], MOST_WINDOW + 1, /nodes\[\d+\].kernel must be a whole number from 1 to 1024; got 1025/],
  [["nodes", conv, "out"], MOST_CHANNELS + 1, /out must be a whole number from 1 to 65536/],
  [["nodes", conv, "input"], conv, /input must be a whole number from 0/],
  [["nodes", conv, "name"], "x".repeat(LONGEST_NAME + 1), /a text of at most 512 characters/],
  [
    ["nodes"],
    Array.from({ length: MOST_NODES + 1 }, () => ({ op: "add" })),
    /a list of 2 to 16384; got a list of 16385/,
  ],
  [["input", "h"], MOST_SIDE + 1, /input.h must be a whole number from 1 to 16384/],
  [["input", "c"], MOST_PLANES + 1, /input.c must be a whole number from 1 to 16/],
  [["input", "crop", "h"], 27, /input must be crop and pad, 27×28 \+ 2·0; got 28×28/],
  [["input", "resize", "w"], 27, /input.resize must hold crop/],
  [["input", "std"], [0], /input.std must be above 0/],
  [["classNames"], ["a"], /classNames must be a list of 10/],
  [["output"], 1000, /output must be a whole number/],
])("X6 a description whose %j is out of its limits is refused by name", (path, value, message) => {
  expect(() => readExported(withField(path, value))).toThrow(invalid(message));
});

test.each<readonly [readonly (string | number)[], Json, RegExp]>([
  [["tracking", "exemplar"], 256, /an exemplar within the instance; got 256 and 255/],
  [["tracking", "exemplar"], 12, /window .* does not fit/],
  [["tracking", "instance"], 239, /input must be the instance, 239×239 of 3 channels without pad; got 255×255 of 3/],
  [["tracking", "instance"], MOST_SIDE + 1, /instance must be a whole number from 1 to 16384/],
  [["tracking", "context"], -0.5, /context must not be below 0; got -0.5/],
  [["tracking", "stride"], 4, /stride must be 8, as the nodes'; got 4/],
  [["tracking", "response", "op"], "conv", /response.op must be one of xcorr/],
  [["tracking", "response", "scale"], "1", /response.scale must be a number/],
])(
  "X53 of a file for a target to follow, a %j that does not fit its network is refused by name",
  (path, value, message) => {
    expect(() => readExported(withField(path, value, tracker))).toThrow(invalid(message));
  },
);

test("X53 a network for a target to follow has no layer that fits one size of map alone", () => {
  const model = JSON.parse(tracker.metadata.model!);
  const last = model.nodes.length - 1;
  model.nodes.push({ op: "gamma", name: "rows", input: last, tensors: { h: "rows.h" } });
  model.output = last + 1;
  const rows = tensorOf(new Float32Array(22), [22]);
  const changed = writeSafetensors([...tracker.tensors, ["rows.h", rows]], {
    ...tracker.metadata,
    model: JSON.stringify(model),
  });
  expect(() => readExported(changed)).toThrow(invalid(/nodes\[16\] must fit a map of any size/));
});

test("X5 what is nested as deeply as a file is long is refused, wherever it stands", () => {
  const deep = "[".repeat(100_000) + "]".repeat(100_000);
  const model = metadata.model!.replace(/"epsilon":[^,]+/, `"epsilon":${deep}`);
  expect(() => readExported(writeSafetensors(tensors, { ...metadata, model }))).toThrow(
    invalid(/epsilon must be a number; got a list of 1/),
  );
  const header = `{"__metadata__":{"format":${deep}}}`.padEnd(8);
  const bytes = new Uint8Array(8 + header.length);
  new DataView(bytes.buffer).setUint32(0, header.length, true);
  bytes.set(Buffer.from(header), 8);
  expect(() => readExported(bytes)).toThrow(expect.objectContaining({ code: "SAFETENSORS_INVALID" }));
});

test("X6 a description over its limit is refused before it is read", () => {
  const model = " ".repeat(MOST_DESCRIPTION + 1);
  expect(() => readExported(writeSafetensors(tensors, { ...metadata, model }))).toThrow(invalid(/limit is 33554432/));
});

test("X6 a network that would make too many values of a picture is refused before anything is made", () => {
  const side = { h: MOST_SIDE, w: MOST_SIDE };
  const model = JSON.parse(metadata.model!);
  const input = { ...model.input, ...side, resize: side, crop: side };
  const changed = { ...metadata, model: JSON.stringify({ ...model, input }) };
  expect(() => readExported(writeSafetensors(tensors, changed))).toThrow(
    invalid(/values a picture.*limit is 268435456/),
  );
});

test("X7 a tensor that is not there, or of another shape or dtype, is refused by its name", () => {
  const changed = (name: string, tensor: SafeTensor | undefined) => {
    const others = [...tensors].flatMap(([one, own]): [string, SafeTensor][] => {
      if (one !== name) return [[one, own]];
      return tensor ? [[one, tensor]] : [];
    });
    return () => readExported(writeSafetensors(others, metadata));
  };
  const signs = "conv2.weight.signs";
  const own = tensors.get(signs)!;
  expect(changed(signs, undefined)).toThrow(invalid(/conv2.weight.signs must be U8 \[2,5,5,4\]; it is not in it/));
  expect(changed(signs, { ...own, dtype: "I8" })).toThrow(invalid(/it is I8/));
  const flat = { ...own, shape: [own.bytes.length] };
  expect(changed(signs, flat)).toThrow(invalid(/must be U8 \[2,5,5,4\]; it is U8 \[200\]/));
  const scale = tensors.get("conv2.c")!;
  expect(changed("conv2.c", { ...scale, shape: scale.shape.slice(1) })).toThrow(invalid(/conv2.c must be F32/));
});

test("X7 a tensor whose floats are infinite or no number is refused by its name", () => {
  for (const bits of [0xffff_ffff, 0x7f80_0000, 0xff80_0000]) {
    const own = tensors.get("conv2.c")!;
    const bytes = Uint8Array.from(own.bytes);
    new DataView(bytes.buffer).setUint32(4, bits, true);
    const changed = [...tensors].map(([name, one]): [string, SafeTensor] => [
      name,
      name === "conv2.c" ? { ...own, bytes } : one,
    ]);
    const written = writeSafetensors(changed, metadata);
    const refused = invalid(/conv2.c must have finite floats; number 1 of them/);
    expect(() => readExported(written)).toThrow(refused);
    // Wherever it begins in memory.
    const moved = new Uint8Array(written.length + 1);
    moved.set(written, 1);
    expect(() => readExported(moved.subarray(1))).toThrow(refused);
  }
});

test("X7 a bit that fell over in a file's numbers is seen; a file of before, without a checksum, is read", () => {
  const changed = Uint8Array.from(file);
  const at = changed.length - 5;
  changed[at] = changed[at]! ^ 1;
  expect(() => readExported(changed)).toThrow(invalid(/was changed since it was written: .* crc32c:[0-9a-f]{8}/));
  const { checksum, ...before } = metadata;
  expect(checksum).toMatch(/^crc32c:[0-9a-f]{8}$/);
  expect(readExported(writeSafetensors(tensors, before)).tensors.size).toBe(tensors.size);
  // Of a kind that this reader does not know.
  expect(readExported(writeSafetensors(tensors, { ...before, checksum: "other:1" })).tensors.size).toBe(tensors.size);
});

test.each([
  [writeOnnx(readExported(file), "float"), /looks like an ONNX file/],
  [Buffer.from("<!doctype html><title>404</title>"), /looks like a web page, which a server gives/],
  [Buffer.from("PK\x03\x04 and more of an archive"), /looks like a zip archive, as PyTorch writes/],
  [Buffer.from("version https://git-lfs.github.com/spec/v1"), /a pointer of Git LFS/],
])("X5 a file of another kind is called by its name, and what is read instead", (bytes, words) => {
  const message = expect.stringMatching(words);
  expect(() => readExported(bytes)).toThrow(expect.objectContaining({ code: "SAFETENSORS_INVALID", message }));
  expect(() => readExported(bytes)).toThrow(/`export` of bitswarm writes as safetensors/);
});

test("a file of another format or version says so, and what to do", () => {
  const other = (fields: Record<string, string>) => () =>
    readExported(writeSafetensors(tensors, { ...metadata, ...fields }));
  expect(other({ format: "pt" })).toThrow(invalid(/format "pt", not bitswarm-inference/));
  expect(other({ formatVersion: "2" })).toThrow(invalid(/version "2"; this program reads 3; export the network again/));
  expect(other({ model: "{" })).toThrow(invalid(/no JSON/));
});

test("X8 signs are bits in bytes, the lowest first, rows begin at whole words, and a set bit is -1", () => {
  const read = readExported(file);
  const signs = read.tensors.get("conv2.weight.signs")!;
  expect(signs.dtype).toBe("U8");
  const words = planesOf(read, "conv2.weight.signs");
  words.forEach((word, row) => {
    expect([...signs.bytes.subarray(4 * row, 4 * row + 4)]).toEqual([0, 8, 16, 24].map((at) => (word >>> at) & 255));
  });
  // Each tensor can be read in place, as words or floats.
  for (const { bytes } of read.tensors.values()) expect((bytes.byteOffset - file.byteOffset) % 4).toBe(0);
});

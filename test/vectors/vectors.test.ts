// The vectors that SPEC.md points to are what this build computes: a stranger's client and ours are held to the same
// bytes.

import { readdir, readFile, stat } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { encodeText } from "../../shared/base/text.ts";
import { decodeCoordinatorMessage, decodeWorkerMessage } from "../../shared/wire/protocol.ts";
import { identity, verifies } from "./cases/identity.ts";
import { messages, readable } from "./cases/messages.ts";
import { hex } from "./text.ts";
import { type VectorFile, vectors } from "./vectors.ts";

const folder = new URL("../../test/vectors/", import.meta.url);
const stored = async <T>(file: VectorFile) => JSON.parse(await readFile(new URL(file, folder), "utf8")) as T;
/** As JSON has it: no undefined, no typed arrays. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** All vectors together: what a person can look at, and a checkout does not feel. */
const MOST_BYTES = 320 << 10;

test("the folder holds the vectors of the table, and they are small", async () => {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".json"));
  expect(files.sort()).toEqual(Object.keys(vectors).sort());
  const sizes = await Promise.all(files.map(async (file) => (await stat(new URL(file, folder))).size));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(MOST_BYTES);
});

/** Those that are the same bytes whenever they are made. */
const exact: Readonly<Partial<Record<VectorFile, string>>> = {
  "draws.json": "B1 the generator's blocks, and streams by their addresses,",
  "permutations.json": "B2 the order of an epoch",
  "canary.json": "B3 the canary's layers, sums and hash",
  "manifests.json": "B4 the parameters of networks, in blobs and contributions,",
  "parameters.json": "B5 parameters, whole and changed, with f32, f16 and int8,",
  "contributions.json": "B6 a contribution in each codec, to its frame,",
  "views.json": "B13 what is seen of a JPEG, and its resize,",
  "pairs.json": "B14 the bytes of clips, the pairs that are drawn of them, and what is seen of each,",
  "shard.json": "B7 a shard, its manifest, and samples as networks read them,",
};

test.each(Object.entries(exact) as [VectorFile, string][])("%s: %s are as the vectors say", async (file) => {
  expect(plain(vectors[file]())).toEqual(await stored(file));
});

describe("B8 a proof", () => {
  test("signs the bytes of the vector, and its signature verifies", async () => {
    const vector = await stored<ReturnType<typeof identity>>("identity.json");
    const { signature: _, ...fixed } = identity();
    expect(vector).toMatchObject(fixed);
    expect(verifies(vector)).toBe(true);
    expect(verifies({ ...vector, bytes: `${vector.bytes.slice(0, -2)}00` })).toBe(false);
  });
});

test("B9 control messages are the msgpack bytes of the vectors", async () => {
  const vector = await stored<ReturnType<typeof messages>>("messages.json");
  const made = messages();
  expect(vector.length).toBe(made.length);
  // Each proof has a signature of its own.
  const fixed = (list: typeof made) => list.filter(({ bytes }) => !bytes.includes(hex(encodeText("signature"))));
  expect(fixed(made)).toEqual(fixed(vector));
  for (const { from, message, bytes } of vector) {
    const decoded = (from === "worker" ? decodeWorkerMessage : decodeCoordinatorMessage)(Buffer.from(bytes, "hex"));
    expect(plain(readable(decoded))).toMatchObject(message as object);
  }
});

// What a worker holds: verified, in order, whole or as changes, and what it asks for where a base is missing.
import { expect, test } from "vitest";
import { encodeParameters } from "../../../shared/wire/parameter-frame.ts";
import { encodeChange, encodeWhole } from "../../../shared/wire/parameter-update.ts";
import { digest } from "../../../worker/platform/runtime-ports.ts";
import { KEPT_VERSIONS, ParameterStore } from "../../../worker/session/parameter-store.ts";
import { RUN_TAG, SETS, scriptedBlob, scriptedForm, sha256, studentForm } from "./scripted-run.ts";

const [first, second, third] = ["first", "second", "third"].map((name) => scriptedBlob(name));
const store = () => new ParameterStore(new Map(SETS.map((set) => [set, scriptedForm(set)])), digest);

function whole(blob: Uint8Array<ArrayBuffer>, hash = sha256(blob)): Uint8Array {
  return encodeParameters(RUN_TAG, SETS, 0, { set: "student", hash, base: null, body: encodeWhole(studentForm, blob) });
}

function change(from: Uint8Array<ArrayBuffer>, to: Uint8Array<ArrayBuffer>, hash = sha256(to)): Uint8Array {
  const body = encodeChange(studentForm, from, to);
  return encodeParameters(RUN_TAG, SETS, 0, { set: "student", hash, base: sha256(from), body });
}

test("the whole, then changes of it, are held by their hashes, though nobody waits between them", async () => {
  const held = store();
  const taken = [whole(first), change(first, second), change(second, third)].map((frame) =>
    held.receive(RUN_TAG, frame),
  );
  expect(await held.blob("student", sha256(third))).toEqual(third);
  expect(await Promise.all(taken)).toEqual([undefined, undefined, undefined]);
  expect(held.holds).toEqual({ student: sha256(third) });
  expect(await held.blob("student", sha256(second))).toEqual(second);
});

test("D9 what a worker holds it holds in the next run at its link too, by the same hashes", async () => {
  const before = store();
  await before.receive(RUN_TAG, whole(first));
  await before.receive(RUN_TAG, change(first, second));
  const next = new ParameterStore(new Map(SETS.map((set) => [set, scriptedForm(set)])), digest, before);
  expect(next.holds).toEqual(before.holds);
  expect(await next.blob("student", sha256(first))).toEqual(first);
  expect(await next.receive(RUN_TAG, change(second, third))).toBeUndefined();
  expect(await next.blob("student", sha256(third))).toEqual(third);
  expect(before.holds).toEqual({ student: sha256(second) });
  expect(new ParameterStore(new Map([["other", scriptedForm("student")]]), digest, before).holds).toEqual({});
});

test("so many versions are kept, and no more", async () => {
  const held = store();
  for (const blob of [first, second, third]) await held.receive(RUN_TAG, whole(blob));
  expect(KEPT_VERSIONS).toBe(2);
  await expect(held.blob("student", sha256(first))).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
});

test("a change of what is not held is wanted whole, once, and a lease waits for that", async () => {
  const held = store();
  expect(await held.receive(RUN_TAG, change(first, second))).toBe("student");
  expect(await held.receive(RUN_TAG, change(second, third))).toBeUndefined();
  let blob: Uint8Array | undefined;
  const waiting = held.blob("student", sha256(third)).then((found) => {
    blob = found;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(blob).toBeUndefined();
  await held.receive(RUN_TAG, whole(third));
  await waiting;
  expect(blob).toEqual(third);
  expect(await held.receive(RUN_TAG, change(first, second))).toBe("student");
});

test("a connection that is lost ends the wait with MESSAGE_INVALID", async () => {
  const held = store();
  await held.receive(RUN_TAG, change(first, second));
  const waiting = expect(held.blob("student", sha256(second))).rejects.toMatchObject({ code: "MESSAGE_INVALID" });
  await new Promise((resolve) => setTimeout(resolve, 5));
  held.disconnected();
  await waiting;
});

test.each([
  ["whole parameters", () => whole(second, "ab".repeat(32))],
  ["a change", () => change(first, second, "ab".repeat(32))],
  ["a change whose bytes lead elsewhere", () => change(first, second, sha256(third))],
])("%s that do not hash to their name are refused with FRAME_CORRUPT, and what was held stays", async (_, frame) => {
  const held = store();
  await held.receive(RUN_TAG, whole(first));
  await expect(held.receive(RUN_TAG, frame())).rejects.toMatchObject({ code: "FRAME_CORRUPT" });
  expect(held.holds).toEqual({ student: sha256(first) });
  await held.receive(RUN_TAG, change(first, second));
  expect(await held.blob("student", sha256(second))).toEqual(second);
});

test("a frame larger than any that this run can send is refused unread with FRAME_TOO_LARGE", async () => {
  const body = new Uint8Array(4_000_000);
  const frame = encodeParameters(RUN_TAG, SETS, 0, { set: "student", hash: sha256(body), base: null, body });
  await expect(store().receive(RUN_TAG, frame)).rejects.toMatchObject({ code: "FRAME_TOO_LARGE" });
});

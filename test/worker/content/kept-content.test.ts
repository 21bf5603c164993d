// Rules of what stays on a device: the most recently used up to a cap, and whatever fails only costs downloads.

import { expect, test } from "vitest";
import { KEPT_BYTES_UNTOLD, KEPT_CAP_BYTES, keptCap } from "../../../worker/content/content-store.ts";
import { FAILED_WRITES, KeptContent, WRITE_TRIES } from "../../../worker/content/kept-content.ts";
import { MemoryContent } from "../../fixtures/memory-content.ts";

const bytes = (fill: number, length = 100) => new Uint8Array(length).fill(fill);

async function opened(storage: MemoryContent): Promise<KeptContent> {
  const kept = await KeptContent.open(storage);
  if (!kept) throw new Error("the storage was not opened");
  return kept;
}

test("I44 what was used last stays under the cap, over visits too", async () => {
  const storage = new MemoryContent(350);
  const first = await opened(storage);
  for (const key of ["a", "b", "c"]) await first.keep(key, bytes(1));
  await first.read("a");
  const second = await opened(storage);
  expect([...second.keys()]).toEqual(["b", "c", "a"]);
  await second.keep("d", bytes(2));
  expect([...storage.held.keys()].sort()).toEqual(["a", "c", "d"]);
  expect(second.bytes).toBe(300);
  // However many come at once.
  await Promise.all(["e", "f", "g", "h", "i"].map((key) => second.keep(key, bytes(3))));
  expect(storage.bytes).toBeLessThanOrEqual(350);
  expect(second.bytes).toBe(storage.bytes);
});

test("a lower cap than before is kept from the beginning", async () => {
  const storage = new MemoryContent(1000);
  const kept = await opened(storage);
  for (let i = 0; i < 10; i++) await kept.keep(`k${i}`, bytes(i));
  const lower = new MemoryContent(300);
  for (const [key, held] of storage.held) await lower.write(key, held);
  await opened(lower);
  await expect.poll(() => [...lower.held.keys()]).toEqual(["k7", "k8", "k9"]);
});

test("what is larger than the cap is not kept, and makes nothing else go", async () => {
  const storage = new MemoryContent(350);
  const kept = await opened(storage);
  await kept.keep("a", bytes(1));
  await kept.keep("large", bytes(2, 351));
  expect([...storage.held.keys()]).toEqual(["a"]);
});

test("I45 a device with less room than it promised keeps what fits, and takes no more than that", async () => {
  const storage = new MemoryContent(10_000);
  const kept = await opened(storage);
  storage.room = 450;
  for (let i = 0; i < 20; i++) await kept.keep(`k${i}`, bytes(i));
  expect(storage.held.has("k19")).toBe(true);
  expect(storage.bytes).toBeGreaterThanOrEqual(200);
  expect(kept.capBytes).toBeLessThanOrEqual(450);
  expect(kept.bytes).toBe(storage.bytes);
});

test("a device that refuses every write is left alone after a few", async () => {
  const storage = new MemoryContent();
  const kept = await opened(storage);
  let writes = 0;
  storage.write = async () => {
    writes++;
    throw new DOMException("broken", "InvalidStateError");
  };
  for (let i = 0; i < 3 * FAILED_WRITES; i++) await kept.keep(`k${i}`, bytes(i));
  expect(writes).toBe(FAILED_WRITES);
  expect(WRITE_TRIES).toBeGreaterThan(1);
});

test("a device that cannot be read keeps nothing", async () => {
  const storage = new MemoryContent();
  storage.list = () => Promise.reject(new DOMException("private", "SecurityError"));
  expect(await KeptContent.open(storage)).toBeUndefined();
});

test("what others wrote beside is found, counts, and goes in its turn; what they removed is forgotten", async () => {
  const storage = new MemoryContent(1000);
  const kept = await opened(storage);
  const changes: string[] = [];
  kept.listen((key, here) => changes.push(`${key} ${here}`));
  await kept.keep("mine", bytes(1));
  await storage.write("theirs", bytes(2));
  expect(await kept.read("theirs")).toEqual(bytes(2));
  await storage.remove("mine");
  expect(await kept.read("mine")).toBeUndefined();
  expect(changes).toEqual(["mine true", "theirs true", "mine false"]);
  for (let i = 0; i < 20; i++) await storage.write(`other${i}`, bytes(3));
  // After an eighth of the cap the store is listed anew.
  await kept.keep("x", bytes(4, 130));
  expect(storage.bytes).toBeLessThanOrEqual(1000);
});

test("clearing removes everything, what others wrote too, and goes on keeping", async () => {
  const storage = new MemoryContent(1000);
  const kept = await opened(storage);
  await kept.keep("a", bytes(1));
  await storage.write("b", bytes(2));
  await kept.clear();
  expect([storage.held.size, kept.bytes]).toEqual([0, 0]);
  await kept.keep("a", bytes(1));
  expect([...storage.held.keys()]).toEqual(["a"]);
});

test("a quarter of what the browser grants is kept, 4 GiB at most", () => {
  expect(keptCap(2 ** 40)).toBe(KEPT_CAP_BYTES);
  expect(keptCap(10 * 2 ** 30)).toBe(2.5 * 2 ** 30);
  expect(keptCap(undefined)).toBe(KEPT_BYTES_UNTOLD);
  expect(keptCap(0)).toBe(0);
  expect(keptCap(2 ** 40, 2 ** 28)).toBe(2 ** 28);
});

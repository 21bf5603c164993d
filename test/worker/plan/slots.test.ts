// Buffers by lifetime: sharing must never mix two tensors that are alive together, nor what one dispatch reads and
// writes.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Launch, Lifetime } from "../../../worker/plan/launch-list.ts";
import { assignSlots, peakBytes, SLOT_BYTES } from "../../../worker/plan/slots.ts";

const lifetimes = fc.array(
  fc.record({ bytes: fc.integer({ min: 4, max: 4096 }), first: fc.nat(40), length: fc.nat(10) }).map((t) => ({
    bytes: t.bytes,
    first: t.first,
    last: t.first + t.length,
  })),
  { maxLength: 60 },
);

function assign(tensors: readonly Lifetime[], launches: readonly Launch[] = []) {
  return assignSlots({ lifetimes: tensors, launches });
}

/** A launch that reads tensor `from` and writes tensor `to`. */
function launchOf(from: number, to: number, tensors: readonly Lifetime[]): Launch {
  const ref = (id: number) => ({ kind: "transient", id, offset: 0, bytes: tensors[id].bytes }) as const;
  return {
    kernel: {
      label: "test",
      wgsl: "",
      bindings: [
        { name: "x", access: "read" },
        { name: "y", access: "read_write" },
      ],
      grid: [1, 1, 1],
    },
    refs: [ref(from), ref(to)],
  };
}

test("assignSlots gives tensors that are alive at one launch ranges apart, at offsets that can be bound", () => {
  fc.assert(
    fc.property(lifetimes, (tensors) => {
      const { slotOf, offsetOf, slotBytes } = assign(tensors);
      tensors.forEach((a, i) => {
        expect(offsetOf[i] % 256).toBe(0);
        expect(slotBytes[slotOf[i]]).toBeGreaterThanOrEqual(offsetOf[i] + a.bytes);
        tensors.forEach((b, k) => {
          const meet = a.first <= b.last && b.first <= a.last;
          if (k <= i || !meet || slotOf[i] !== slotOf[k]) return;
          expect(offsetOf[i] + a.bytes <= offsetOf[k] || offsetOf[k] + b.bytes <= offsetOf[i]).toBe(true);
        });
      });
    }),
  );
});

test("assignSlots never puts what one launch reads and what it writes into one buffer", () => {
  const pairs = fc.array(fc.tuple(fc.nat(59), fc.nat(59)), { maxLength: 40 });
  fc.assert(
    fc.property(lifetimes, pairs, (tensors, chosen) => {
      const bound = chosen.filter(([from, to]) => from !== to && from < tensors.length && to < tensors.length);
      const { slotOf } = assign(
        tensors,
        bound.map(([from, to]) => launchOf(from, to, tensors)),
      );
      for (const [from, to] of bound) expect(slotOf[from]).not.toBe(slotOf[to]);
    }),
  );
});

test("assignSlots reuses memory once its tensor is dead", () => {
  const chain = Array.from({ length: 10 }, (_, i) => ({ bytes: 256, first: i, last: i + 1 }));
  expect(assign(chain).slotBytes).toEqual([512]);
  const launches = chain.slice(1).map((_, i) => launchOf(i, i + 1, chain));
  expect(assign(chain, launches).slotBytes).toEqual([256, 256]);
});

test("assignSlots puts small tensors into the room of a large one that is dead", () => {
  const large = { bytes: 1024, first: 0, last: 1 };
  const small = Array.from({ length: 4 }, () => ({ bytes: 256, first: 2, last: 3 }));
  expect(assign([large, ...small]).slotBytes).toEqual([1024]);
});

test("a slot grows to a guaranteed binding's size, and beyond only for one tensor that is larger", () => {
  const half = SLOT_BYTES / 2;
  const tensors = [3 * half, half, half, half].map((bytes) => ({ bytes, first: 0, last: 1 }));
  expect(assign(tensors).slotBytes).toEqual([3 * half, SLOT_BYTES, half]);
});

test("assignSlots leaves out a tensor that nothing touches, and never reuses a kept one", () => {
  const kept = { bytes: 8, first: 0, last: Number.POSITIVE_INFINITY };
  const { slotOf, offsetOf } = assign([{ bytes: 8, first: -1, last: -1 }, kept, { bytes: 8, first: 5, last: 6 }]);
  expect(slotOf[0]).toBe(-1);
  expect(offsetOf[1]).not.toBe(offsetOf[2]);
});

test("peakBytes is what is alive at once, at most", () => {
  expect(peakBytes([])).toBe(0);
  const tensors = [
    { bytes: 100, first: 0, last: 2 },
    { bytes: 10, first: 2, last: 4 },
    { bytes: 50, first: 3, last: 4 },
    { bytes: 999, first: -1, last: -1 },
  ];
  expect(peakBytes(tensors)).toBe(110);
});

// Buffers by lifetime: sharing must never mix two tensors that are alive together.
import fc from "fast-check";
import { expect, test } from "vitest";
import { assignSlots } from "../../worker/slots.ts";

const lifetimes = fc.array(
  fc.record({ bytes: fc.integer({ min: 4, max: 4096 }), first: fc.nat(40), length: fc.nat(10) }).map((t) => ({
    bytes: t.bytes,
    first: t.first,
    last: t.first + t.length,
  })),
  { maxLength: 60 },
);

test("assignSlots gives tensors that are alive at one launch different slots, each large enough", () => {
  fc.assert(
    fc.property(lifetimes, (tensors) => {
      const { slotOf, slotBytes } = assignSlots(tensors);
      tensors.forEach((a, i) => {
        expect(slotBytes[slotOf[i]]).toBeGreaterThanOrEqual(a.bytes);
        tensors.slice(i + 1).forEach((b, k) => {
          const meet = a.first <= b.last && b.first <= a.last;
          if (meet) expect(slotOf[i]).not.toBe(slotOf[i + 1 + k]);
        });
      });
    }),
  );
});

test("assignSlots reuses a slot once its tensor is dead", () => {
  const chain = Array.from({ length: 10 }, (_, i) => ({ bytes: 64, first: i, last: i + 1 }));
  expect(assignSlots(chain).slotBytes).toHaveLength(2);
});

test("assignSlots leaves out a tensor that nothing touches, and never reuses a kept one", () => {
  const kept = { bytes: 8, first: 0, last: Number.POSITIVE_INFINITY };
  const { slotOf } = assignSlots([{ bytes: 8, first: -1, last: -1 }, kept, { bytes: 8, first: 5, last: 6 }]);
  expect(slotOf[0]).toBe(-1);
  expect(slotOf[1]).not.toBe(slotOf[2]);
});

// Sizes in one unit, with three digits.

import { expect, test } from "vitest";
import { bytesText } from "../../../shared/base/bytes-text.ts";

test.each([
  [0, "0 bytes"],
  [1023, "1023 bytes"],
  [12_186, "11.9 KiB"],
  [139_000, "136 KiB"],
  [1023 * 1024, "0.999 MiB"],
  [46_800_000, "44.6 MiB"],
  [2 ** 40, "1.00 TiB"],
  [2 ** 53, "8192 TiB"],
])("%i bytes are %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

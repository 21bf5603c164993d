// Which texts are a share of a GPU's time.

import { expect, test } from "vitest";
import { shareIn } from "../../../shared/base/gpu-share.ts";

test.each([
  ["0.1", 0.1],
  [".5", 0.5],
  ["1", 1],
  ["1.0", 1],
  ["0.09", undefined],
  ["1.1", undefined],
  ["", undefined],
  ["50%", undefined],
  ["0,5", undefined],
  ["5e-1", undefined],
  ["-0.5", undefined],
])("shareIn of %j is %j", (text, share) => {
  expect(shareIn(text)).toBe(share);
});

// What an import says at its end to who gives the same command once more, or with another source.

import { expect, test } from "vitest";
import type { ImportSummary } from "../../../coordinator/import/import-event.ts";
import { summaryText } from "../../../coordinator/program/import-text.ts";

const summary: ImportSummary = {
  store: "store",
  sha256: "0123456789abcdef".repeat(4),
  classes: 2,
  media: "image/jpeg",
  splits: { train: { samples: 1200, shards: 1 }, val: { samples: 7, shards: 1 } },
  bytes: 3 * 2 ** 20,
  converted: 1,
  rejected: 2,
  firstRejects: [{ split: "train", source: "a/1.jpg", why: "it has no bytes" }],
  already: false,
};

test("a summary has the counts of all, and the first rejects by name", () => {
  expect(summaryText(summary).split("\n")).toEqual([
    "store is done.",
    "2 classes, 3.00 MiB, manifest 0123456789ab",
    "  train: 1,200 images in 1 shards",
    "  val: 7 images in 1 shards",
    "1 converted (listed in converted.ndjson), 2 rejected (listed in rejected.ndjson):",
    "  train: a/1.jpg: it has no bytes",
    "  and 1 more",
  ]);
});

test("a store that was there already is not said to be of the source that is given now", () => {
  expect(summaryText({ ...summary, already: true })).toMatch(
    /^store is finished already, and nothing was read again; for another source, .* give another folder\.\n/,
  );
});

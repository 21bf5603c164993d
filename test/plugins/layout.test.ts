// The layout's seam: a source that exists in this file only is recognised and imported; without its kind it is none.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Item, Layout } from "../../coordinator/import/layouts/layout.ts";
import { layouts } from "../../coordinator/import/layouts/layouts.ts";
import { imported, storedSamples } from "../fixtures/imported.ts";
import { scratchFolder } from "../fixtures/test-run.ts";

const side = 2;
const pixels = side * side * 3;
/** One file of records: a label, then pixels. Its name is all that tells it. */
const FILE = "toy.records";

const toyRecords: Layout = {
  kind: "toy-records",
  title: "toy records",
  files: FILE,
  recognise: async (source) => {
    if (!(await source.folder("")).files.includes(FILE)) return undefined;
    const records = await readFile(source.absolute(FILE));
    const samples = records.length / (1 + pixels);
    return {
      strength: 3,
      why: `${FILE} is in it`,
      open: async () => ({
        classes: [{ name: "dark" }, { name: "light" }],
        media: "pixels",
        shape: { h: side, w: side, c: 3 },
        splits: {
          train: {
            samples,
            bytes: records.length,
            async *read(from = "0"): AsyncIterable<Item> {
              for (let row = Number(from); row < samples; row++) {
                const record = records.subarray(row * (1 + pixels), (row + 1) * (1 + pixels));
                const sample = {
                  name: `${FILE}#${row}`,
                  label: record[0],
                  content: Uint8Array.from(record.subarray(1)),
                };
                yield { sample, cursor: String(row + 1), bytesRead: (row + 1) * (1 + pixels) };
              }
            },
          },
        },
        notices: [],
        left: [],
      }),
    };
  },
};

test("a source that only a layout in a test knows becomes a store", async () => {
  onTestFinished(layouts.add(toyRecords));
  const source = path.join(await scratchFolder(), "source");
  await mkdir(source);
  const samples = 40;
  const records = Array.from({ length: samples }, (_, i) => [
    i % 2,
    ...Array<number>(pixels).fill(i % 2 ? 250 - i : i),
  ]);
  await writeFile(path.join(source, FILE), Uint8Array.from(records.flat()));
  const { folder, events } = await imported(source, { options: { holdout: 0.25 } });
  expect(events.find(({ type }) => type === "recognised")).toMatchObject({ layout: "toy-records", media: "pixels" });
  const stored = [...(await storedSamples(folder, "train")), ...(await storedSamples(folder, "val"))];
  const found = stored.map(({ name, label, content }) => [name, label, ...content.subarray(0, 1)] as const);
  expect(found.sort(([a], [b]) => Number(a.split("#")[1]) - Number(b.split("#")[1]))).toEqual(
    records.map(([label, first], row) => [`${FILE}#${row}`, label, first]),
  );
});

test("without its line in the table it is no layout", async () => {
  const source = path.join(await scratchFolder(), "source");
  await mkdir(source);
  await writeFile(path.join(source, FILE), new Uint8Array(13));
  await expect(imported(source)).rejects.toMatchObject({ code: "DATA_INVALID" });
});

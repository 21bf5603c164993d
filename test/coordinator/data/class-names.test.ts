// Rules of what classes are called in an exported network.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { classNames } from "../../../coordinator/data/class-names.ts";
import { type DataOptions, dataSchema } from "../../../shared/data/data-kinds.ts";
import { writeCifar10 } from "../../fixtures/cifar-files.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { withFolder } from "../../fixtures/tiny-run.ts";

const options = (fields: Record<string, unknown>) => dataSchema().parse(fields) as DataOptions;

test("a configuration's names go before the data set's own, and must be as many as there are classes", async () => {
  const named = options({ kind: "fashion-mnist", classes: ["a", "b"] });
  expect(await classNames(named, 2, {})).toEqual({ names: ["a", "b"] });
  const { names } = await classNames(options({ kind: "fashion-mnist" }), 10, {});
  expect([names?.[0], names?.[9], names?.length]).toEqual(["T-shirt/top", "Ankle boot", 10]);
  expect(await classNames(options({ kind: "fashion-mnist" }), 12, {})).toEqual({ names: undefined });
  expect(await classNames(options({ kind: "idx" }), 10, {})).toEqual({ names: undefined });
});

test("CIFAR's are in the file beside its images; where that is not there, or is another, a notice says so", () =>
  withFolder(async (root) => {
    await writeCifar10(root, 2, 2);
    const cifar = options({ kind: "cifar-10", root });
    const missing = await classNames(cifar, 10, {});
    expect(missing.names).toBeUndefined();
    expect(missing.notice).toMatch(/have no names: .*batches.meta.txt is not there; cifar-10-binary.tar.gz has it/);
    const file = join(root, "batches.meta.txt");
    const names = Array.from({ length: 10 }, (_, label) => `class ${label}`);
    await writeFile(file, `${names.slice(1).join("\n")}\n\n`);
    expect((await classNames(cifar, 10, {})).notice).toContain("has 9 names; expected 10");
    await writeFile(file, `${names.join("\n")}\n\n`);
    expect(await classNames(cifar, 10, {})).toEqual({ names });
  }));

test("a store has those that it was imported with; of one that is gone a notice tells", () =>
  withFolder(async (folder) => {
    const store = join(folder, "store");
    const shape = { h: 4, w: 4, c: 1 };
    const samples = noiseSamples(4, shape, 2);
    const { classes } = await writeStoreFolder(store, {
      media: "pixels",
      shape,
      mean: [0.5],
      std: [0.5],
      classes: 2,
      chunk: 2,
      chunksPerShard: 1,
      splits: { train: samples, val: samples },
    });
    const found = await classNames(options({ kind: "store", store }), 2, {});
    expect(found).toEqual({ names: classes.map(({ name }) => name) });
    const gone = await classNames(options({ kind: "store", store: join(folder, "gone") }), 2, {});
    expect(gone.names).toBeUndefined();
    expect(gone.notice).toContain("gone");
  }));

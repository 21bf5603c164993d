// The table of importers: one line an entry. Each has its other half, of the same kind, in shared/data/data-kinds.ts.

import { Registry } from "../../../shared/base/registry.ts";
import { dataKinds } from "../../../shared/data/data-kinds.ts";
import { cifar10Importer, cifar100Importer } from "./cifar.ts";
import { fashionMnistImporter } from "./fashion-mnist.ts";
import { idxImporter } from "./idx.ts";
import type { Importer } from "./importer.ts";
import { storeImporter } from "./store.ts";

export const importers = new Registry<Importer>("data set", [
  fashionMnistImporter,
  idxImporter,
  cifar10Importer,
  cifar100Importer,
  storeImporter,
]);

/**
 * @throws RangeError where a half is missing: a configuration could name what cannot be opened, or the other way round
 */
export function requireBothHalves(
  opening: Pick<Registry<Importer>, "kinds" | "get">,
  named: Pick<typeof dataKinds, "kinds" | "get">,
): void {
  const wrong = [...new Set([...opening.kinds, ...named.kinds])].filter((kind) => {
    const both = opening.kinds.includes(kind) && named.kinds.includes(kind);
    return !both || opening.get(kind).schema !== named.get(kind).schema;
  });
  if (wrong.length > 0) {
    throw new RangeError(`data sets whose two halves are not of one kind and schema: ${wrong.join(", ")}`);
  }
}
requireBothHalves(importers, dataKinds);

/** Adds a data set at run time, as a plug-in of another package does. @returns what takes it out again */
export function addImporter(importer: Importer): () => void {
  const removals = [dataKinds.add(importer), importers.add(importer)];
  return () => {
    for (const remove of removals) remove();
  };
}

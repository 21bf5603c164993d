// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747): MNIST's format, with what the data set is known to be.

import { homedir } from "node:os";
import { join } from "node:path";
import { type DataOptions, fashionMnist } from "../../../shared/data/data-kinds.ts";
import { setupText } from "../../base/command-text.ts";
import { findDataFiles } from "./data-folder.ts";
import { idxHint, idxNames, openIdxFiles } from "./idx.ts";
import { defineImporter, type Environment, type SampleSource } from "./importer.ts";

const known = { title: "Fashion-MNIST", side: 28, classes: 10 } as const;
/** Of all 60,000 training images. */
const normalisation = { mean: [0.286], std: [0.353] };
/** As its authors call them. */
const classes = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
] as const;

async function openFashion(options: DataOptions, environment: Environment): Promise<SampleSource> {
  const found = await findDataFiles(options, environment, {
    title: known.title,
    files: idxNames,
    inner: ["raw", "FashionMNIST/raw"],
    usual: ["/usr/share/datasets/fashion-mnist", join(homedir(), ".cache", "bitswarm", "fashion-mnist")],
    advice: `run \`${setupText()}\`, which gets it`,
    hint: idxHint,
  });
  return { ...(await openIdxFiles(found, known)), normalisation };
}

export const fashionMnistImporter = defineImporter(fashionMnist, openFashion, async () => classes);

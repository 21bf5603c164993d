// The networks of a demo, and what they say of a picture.

import type { ExportedModel } from "../../shared/export/exported-model.ts";
import { readExported } from "../../shared/export/read-exported.ts";
import { inputValues } from "../../shared/export/see-picture.ts";
import { load, type Model, type Prediction } from "../inference/index.ts";
import { fetchNetworks } from "./fetch-networks.ts";

export interface DemoNetwork {
  readonly exported: ExportedModel;
  readonly model: Model;
}

export interface Demo {
  readonly title: string;
  /** The one that the run is for, and its teacher where it has one. */
  readonly networks: readonly DemoNetwork[];
}

/**
 * @param page as of `fetchNetworks`
 * @throws NoDemo
 */
export async function fetchDemo(page: URL): Promise<Demo> {
  const { title, files } = await fetchNetworks(page);
  const networks = await Promise.all(
    files.map(async (bytes) => ({ exported: readExported(bytes), model: await load(bytes) })),
  );
  return { title, networks };
}

export interface Answer {
  readonly predictions: readonly Prediction[];
  /** From the pixels to the classes. */
  readonly ms: number;
}

/** Classes that are shown of each network. */
const TOP = 5;

/** What a network says of the pixels that it sees. */
export async function askNetwork(
  { exported, model }: DemoNetwork,
  seen: Uint8Array,
  now: () => number,
): Promise<Answer> {
  const begun = now();
  const logits = await model.logits(inputValues(exported.input, seen));
  const ms = now() - begun;
  return { predictions: likeliest(logits, model.info.labels), ms };
}

/** Softmax of the logits, the likeliest first. */
export function likeliest(logits: Float32Array, labels: readonly string[]): readonly Prediction[] {
  const greatest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - greatest));
  const sum = powers.reduce((all, one) => all + one, 0);
  return powers
    .map((power, index) => ({ index, label: labels[index] ?? String(index), probability: power / sum }))
    .sort((one, other) => other.probability - one.probability)
    .slice(0, TOP);
}

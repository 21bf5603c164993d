// The run that storms blow over.

import { join } from "node:path";
import { writeNoiseImages } from "../fixtures/noise-images.ts";
import type { ClusterOptions } from "./cluster.ts";

/** A network of few parameters and nobody beside it: what a storm is about is who computes, and not what. */
const tiny = {
  model: { kind: "lenet", widths: [2, 2, 4] },
  objective: { kind: "none" },
  method: { kind: "bireal" },
  batch: 64,
  microbatch: 16,
  epochs: 20,
  bnPhase: 0,
  codec: "exact",
  checkpoint: { everySteps: 10 },
} as const;
const images = { train: 512, test: 32 };

/** Of `coordinator start`, over images in a folder. */
export async function stormFlags(folder: string): Promise<readonly string[]> {
  const root = join(folder, "images");
  await writeNoiseImages(root, images);
  const fields = { ...tiny, data: { kind: "idx", root } };
  return Object.entries(fields).flatMap(([field, value]) => ["--set", `${field}=${JSON.stringify(value)}`]);
}

/** Such that a storm fits into the run. */
export const crew: Pick<ClusterOptions, "crews" | "workers" | "computeMs"> = {
  crews: "scripted",
  workers: 2,
  computeMs: 120,
};

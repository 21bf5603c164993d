// What a demo has beside its page: the files of a run's networks, and the listing that names them.

import { type ExportedNetwork, exportedNetworks } from "../checkpoint/export.ts";

/** Below the page's own folder. */
export const DEMO_PATH = "demo";

/** What the build calls the page on which pictures are tried, and that on which something is followed. */
export const INDEX_PAGE = "index.html";
export const TRACK_PAGE = "track.html";

export interface DemoNetworks {
  readonly step: number;
  /** Whether they follow a target. */
  readonly follows: boolean;
  /** By their paths from the page's folder: `demo/networks.json`, `demo/student.safetensors`. */
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** What a person should know of them. */
  readonly notices: readonly string[];
}

/** The run's own network, and the first of full precision beside it. */
export function chosenForDemo<Network extends Pick<ExportedNetwork, "model">>([
  primary,
  ...others
]: readonly Network[]): readonly Network[] {
  const teacher = others.find(({ model }) => model.network.precision === "full");
  return teacher === undefined ? [primary] : [primary, teacher];
}

/**
 * Of the run's newest checkpoint that verifies.
 * @throws CHECKPOINT_MISSING also where the run has not trained its network yet, CHECKPOINT_CORRUPT, CONFIG_INVALID
 */
export async function demoNetworks(runDir: string): Promise<DemoNetworks> {
  const exported = await exportedNetworks(runDir);
  const chosen = chosenForDemo(exported);
  const { provenance } = chosen[0].model;
  const listing = { title: provenance.title, networks: chosen.map(({ model }) => model.network.name) };
  const files = new Map([[`${DEMO_PATH}/networks.json`, new TextEncoder().encode(JSON.stringify(listing))]]);
  for (const { model, bytes } of chosen) files.set(`${DEMO_PATH}/${model.network.name}.safetensors`, bytes);
  const follows = chosen[0].model.tracking !== undefined;
  return { step: provenance.step, follows, files, notices: chosen[0].notices };
}

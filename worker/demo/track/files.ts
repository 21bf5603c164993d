// The networks of the page: their files, each in a thread of its own that follows with it.

import type { ExportedModel, ExportedTracking } from "../../../shared/export/exported-model.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import type { BackendKind } from "../../inference/index.ts";
import { fetchNetworks, NoDemo } from "../fetch-networks.ts";
import { Follower } from "./follower.ts";

export interface TrackNetwork {
  readonly exported: ExportedModel;
  readonly tracking: ExportedTracking;
  readonly follower: Follower;
  /** What computes it. */
  readonly backend: BackendKind;
}

export interface TrackDemo {
  readonly title: string;
  /** The one that the run is for, and its teacher where it has one. */
  readonly networks: readonly [TrackNetwork, ...TrackNetwork[]];
}

/** `?backend=webgpu` has a GPU compute that is a processor in truth; `wasm` spares one. Else whichever is faster. */
function wantedBackend(page: URL): BackendKind | undefined {
  const wanted = page.searchParams.get("backend");
  return wanted === "webgpu" || wanted === "wasm" ? wanted : undefined;
}

async function opened(bytes: Uint8Array<ArrayBuffer>, wanted: BackendKind | undefined): Promise<TrackNetwork> {
  const exported = readExported(bytes);
  const { tracking, network } = exported;
  if (!tracking) throw new NoDemo(`the ${network.title} names what it sees, and follows nothing; try it at /demo`);
  const follower = new Follower();
  try {
    const { backend } = await follower.ask<"load">({ kind: "load", bytes, backend: wanted });
    return { exported, tracking, follower, backend };
  } catch (error) {
    follower.end();
    throw error;
  }
}

/**
 * @param page the page's own address, whose token opens the files
 * @throws NoDemo, Trouble
 */
export async function fetchTrackDemo(page: URL): Promise<TrackDemo> {
  const { title, files } = await fetchNetworks(page);
  const wanted = wantedBackend(page);
  const networks = await Promise.all(files.map((bytes) => opened(bytes, wanted)));
  return { title, networks: networks as [TrackNetwork, ...TrackNetwork[]] };
}

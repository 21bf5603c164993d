// What a welcome sets up: decoder, shard cache, and the parameters that come in frames. It outlives the connection it came over.

import { BitswarmError } from "../shared/errors.ts";
import { decodeFrame, frameHeaderBytes } from "../shared/frame.ts";
import { sha256Hex } from "../shared/hash.ts";
import { buildNetworks, wireManifest } from "../shared/networks.ts";
import { blobLayout, latentEncoding } from "../shared/parameter-blob.ts";
import { PROTOCOL_VERSION, type WelcomeMessage } from "../shared/protocol.ts";
import type { ContentOrigin } from "./content-fetch.ts";
import { DatasetCache } from "./dataset-cache.ts";
import type { RunResources } from "./lease-work.ts";
import { createSampleDecoder } from "./sample-decoder.ts";

/** Blobs kept for a trainer that has to be made anew. */
const KEPT_BLOBS = 4;

export interface JoinedRun extends RunResources {
  /** What makes it the same run after a reconnect. */
  readonly identity: string;
  readonly parameters: Map<string, Uint8Array>;
  /** Bytes of the largest parameters frame that this run can send. */
  readonly frameLimit: number;
}

/** The same text for two welcomes to the same run. */
export function runIdentity({ run, config, dataset }: WelcomeMessage): string {
  return JSON.stringify([run, config, dataset]);
}

/** @throws PROTOCOL_MISMATCH, DATA_INVALID, GRAPH_INVALID */
export function openRun(welcome: WelcomeMessage, origin: ContentOrigin): JoinedRun {
  const { config, dataset, protocol } = welcome;
  if (protocol !== PROTOCOL_VERSION) {
    throw new BitswarmError(
      "PROTOCOL_MISMATCH",
      `the coordinator speaks protocol ${protocol}, this worker ${PROTOCOL_VERSION}; reload the page or update the older side`,
    );
  }
  const networks = buildNetworks(config, dataset);
  const latent = latentEncoding(config);
  const blobBytes = (["teacher", "student"] as const).map(
    (name) => blobLayout(wireManifest(networks, name), latent).bytes,
  );
  return {
    identity: runIdentity(welcome),
    config,
    dataset,
    decoder: createSampleDecoder(config, dataset),
    cache: new DatasetCache(origin),
    parameters: new Map(),
    frameLimit: frameHeaderBytes + Math.max(...blobBytes),
  };
}

/**
 * Keeps the parameters that a frame brings.
 * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, PROTOCOL_MISMATCH, FRAME_CORRUPT for bytes that are not what they say
 */
export function receiveParameters({ frameLimit, parameters }: JoinedRun, runTag: string, bytes: Uint8Array): void {
  const { header, payload } = decodeFrame(bytes, frameLimit);
  if (header.kind !== "parameters" || header.run !== runTag) {
    throw new BitswarmError(
      "FRAME_CORRUPT",
      `a ${header.kind} frame of run ${header.run} came; only parameters of ${runTag} are due`,
    );
  }
  const hash = sha256Hex(payload);
  if (hash !== header.parametersHash) {
    throw new BitswarmError("FRAME_CORRUPT", `parameters announced as ${header.parametersHash} have SHA-256 ${hash}`);
  }
  // Set anew, so that the order of the map is the order of arrival.
  parameters.delete(hash);
  parameters.set(hash, payload);
  for (const oldest of parameters.keys()) {
    if (parameters.size <= KEPT_BLOBS) break;
    parameters.delete(oldest);
  }
}

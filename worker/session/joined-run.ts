// What a welcome sets up: decoder, shard cache, and the parameters that come in frames. It outlives the connection it
// came over.

import { BitswarmError } from "../../shared/base/errors.ts";
import { checkOutline } from "../../shared/model/phases.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { decodeHere, type OpenDecoding } from "../../shared/samples/decoding.ts";
import { frozenForm, parameterSets, wireForm } from "../../shared/wire/parameter-set.ts";
import { PROTOCOL_VERSION, type WelcomeMessage } from "../../shared/wire/protocol.ts";
import type { ContentOrigin } from "../content/content-origin.ts";
import { DatasetCache } from "../content/dataset-cache.ts";
import type { RunResources } from "./lease-work.ts";
import { ParameterStore } from "./parameter-store.ts";

export interface JoinedRun extends RunResources {
  /** What makes it the same run after a reconnect. */
  readonly identity: string;
  readonly parameters: ParameterStore;
}

/** The same text for two welcomes to the same run. */
export function runIdentity({ run, config, dataset, program }: WelcomeMessage): string {
  return JSON.stringify([run, config, dataset, program]);
}

/**
 * @param before the run that was at the same link, where there was one
 * @throws PROTOCOL_MISMATCH, CONFIG_INVALID, DATA_INVALID, GRAPH_INVALID
 */
export function openRun(
  welcome: WelcomeMessage,
  origin: ContentOrigin,
  openDecoding: OpenDecoding = decodeHere,
  before?: Pick<JoinedRun, "parameters">,
): JoinedRun {
  const { config, dataset, program, protocol } = welcome;
  if (protocol !== PROTOCOL_VERSION) {
    throw new BitswarmError(
      "PROTOCOL_MISMATCH",
      `the coordinator speaks protocol ${protocol}, this worker ${PROTOCOL_VERSION}; reload the page or update the older side`,
    );
  }
  const networks = buildNetworks(config, dataset, checkOutline(program));
  const forms = new Map(parameterSets(networks).map((set) => [set, wireForm(networks, config, set)]));
  return {
    identity: runIdentity(welcome),
    config,
    dataset,
    program,
    decoding: openDecoding(config, dataset),
    cache: new DatasetCache(origin, dataset),
    parameters: new ParameterStore(forms, origin.ports.sha256, before?.parameters),
    frozen: (network) => frozenForm(networks, config, network),
  };
}

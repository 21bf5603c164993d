// Where the numbers of a run are kept: small ones in the engine's own thread, large ones in a thread of their own.

import { elementCount } from "../../shared/model/manifest.ts";
import { wireManifest } from "../../shared/run/networks.ts";
import type { TrainingState } from "../state/training-state.ts";
import { isRobust } from "../sum/robust-round.ts";
import { InlineTraining } from "./inline-training.ts";
import { ThreadedTraining } from "./threaded-training.ts";
import type { Training } from "./training.ts";
import { TrainingCore } from "./training-core.ts";

/**
 * Parameters, partners' among them, of the largest run that needs no thread: what follows a seal, the longest turn
 * there is, takes the event loop about 10 ms. The example has 214,458.
 */
export const INLINE_PARAMETERS = 250_000;

export type StartTraining = (state: TrainingState, runTag: string) => Promise<Training>;

/** Takes the numbers of a state over. @throws THREAD_FAILED */
export const startTraining: StartTraining = async (state, runTag) => {
  const { networks, config } = state;
  const parameters = (network: string) =>
    wireManifest(networks, network).entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const largest = Math.max(...Object.keys(networks).map(parameters));
  // To combine accounts' parts takes many times as long as to sum them.
  if (largest > INLINE_PARAMETERS || isRobust(config.trust.clip)) return ThreadedTraining.start(state, runTag);
  return new InlineTraining(new TrainingCore(state, runTag));
};

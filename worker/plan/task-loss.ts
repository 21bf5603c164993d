// What a plan knows of the task's loss: a function that records it where the network's output and the targets are.

import type { Shape } from "../../shared/model/graph.ts";
import type { LaunchList, Ref } from "./launch-list.ts";

/** What a loss is computed of, over a microbatch of n. */
export interface LossSite {
  readonly n: number;
  /** What the head computed, f32 [n][h][w][c]. */
  readonly output: Ref;
  readonly shape: Shape;
  /** A target by its name, [n][size]. */
  readonly target: (name: string, size: number) => Ref;
  /** Nothing trains: what only training is helped by (label smoothing) is left out. */
  readonly evaluates: boolean;
}

export interface RecordedLoss {
  /** Of the mean loss with respect to the output, f32 [n][h][w][c]. */
  readonly gradient: Ref;
  /** f32 [1 + the task's metrics]: the mean loss, then the mean of each. */
  readonly metrics: Ref;
}

/** Records the loss's launches. */
export type RecordLoss = (list: LaunchList, site: LossSite) => RecordedLoss;

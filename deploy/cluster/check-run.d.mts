// The type of check-run.mjs, which runs without a compiler.

import type { Led, Pause } from "./run-pauses.d.mts";

export interface LogCheck {
  /** In words; empty where all is well. */
  readonly problems: readonly string[];
  /** That stand, of the longest log. */
  readonly steps: number;
  readonly samples: number;
  /** Numbers of those who wrote it, in order. */
  readonly leaders: readonly number[];
  /** After each step. */
  readonly paramsHashes: readonly string[];
}

export interface RunCheck extends LogCheck {
  /** Who led, in order of epochs. */
  readonly led: readonly Led[];
  /** The longest between a step and the next, the longest first. */
  readonly pauses: readonly Pause[];
  /** Steps of pairs of coordinators whose histories were compared, and checkpoints that were read. */
  readonly sums: number;
  readonly checkpoints: number;
}

/** @param batch samples of each step, where a step leaves nothing to the next */
export function checkLogs(logs: readonly { readonly name: string; readonly text: string }[], batch?: number): LogCheck;
/** @param folders of the coordinators of one run */
export function checkRun(folders: readonly string[]): RunCheck;

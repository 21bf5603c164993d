// From a kind of data set and its folder to its sequences.

import { openGot10k } from "./got10k.ts";
import { openOtb } from "./otb.ts";
import type { SequenceKind, SequenceSet } from "./sequence.ts";
import { openUav } from "./uav123.ts";
import { openVot, type PolygonRule } from "./vot.ts";

export interface OpenSequencesOptions {
  /**
   * GOT-10k train, val or test, val unless given; OTB tb50, tb100, otb2013, or all that is there; UAV123 uav123 or
   * uav20l.
   */
  readonly list?: string | undefined;
  /** Of VOT. */
  readonly polygon?: PolygonRule | undefined;
}

/** @throws DATA_MISSING where the data set is not there, DATA_INVALID for a list that it has not */
export async function openSequences(
  kind: SequenceKind,
  root: string,
  { list, polygon }: OpenSequencesOptions = {},
): Promise<SequenceSet> {
  switch (kind) {
    case "got10k":
      return openGot10k(root, list);
    case "otb":
      return openOtb(root, list);
    case "uav123":
      return openUav(root, list);
    case "vot":
      return openVot(root, polygon);
  }
}

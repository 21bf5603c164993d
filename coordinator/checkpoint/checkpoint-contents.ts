// What a checkpoint holds of a training state, encoded and hashed where the state is; the manifest and the disk come
// later.

import { contentHash } from "../disk/content-hash.ts";
import { parametersHash, type TrainingState } from "../state/training-state.ts";
import { encodeTensors } from "./checkpoint-tensors.ts";

/** A tensor file, whole. */
export interface HashedFile {
  readonly bytes: Uint8Array;
  /** In words, what it holds. */
  readonly holds: string;
  readonly sha256: string;
}

export interface CheckpointContents {
  /** Committed steps that it is after. */
  readonly step: number;
  readonly files: ReadonlyMap<string, HashedFile>;
  /** Of each network. */
  readonly paramsHash: Readonly<Record<string, string>>;
  /** Unit 2^e of each tensor in the next round. */
  readonly exponents: Readonly<Record<string, number>>;
  readonly adamStep: number;
}

/** A copy: the state may go on at once. @param run the run's id, named in the files */
export function encodeCheckpoint(state: TrainingState, run: string): CheckpointContents {
  const { step, adamStep, exponents, networks } = state;
  const files = [...encodeTensors(state, run)].map(
    ([name, file]) => [name, { ...file, sha256: contentHash(file.bytes) }] as const,
  );
  return {
    step,
    files: new Map(files),
    paramsHash: Object.fromEntries(Object.keys(networks).map((name) => [name, parametersHash(state, name)])),
    exponents: Object.fromEntries(exponents),
    adamStep,
  };
}

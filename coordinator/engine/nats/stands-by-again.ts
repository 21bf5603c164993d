// How a coordinator of several ends that is to begin again: another has the run, or its copy is another.

import type { BitswarmError } from "../../../shared/base/errors.ts";

export function standsByAgain(error: BitswarmError): boolean {
  return error.code === "ENGINE_FENCED" || error.code === "REPLICA_DIVERGED";
}

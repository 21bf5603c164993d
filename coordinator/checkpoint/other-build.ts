// A run's folder that another build wrote: refused with what to do, never misread.

import { BitswarmError } from "../../shared/base/errors.ts";
import { commandText } from "../base/command-text.ts";

/** @param what it is, with its format @param reads the format of this build @param format that it has */
export function otherBuild(what: string, reads: number, format: number): BitswarmError {
  const advice =
    format < reads
      ? `an older build wrote it: finish the run with that build, or start anew with \`${commandText("coordinator", ["start"])}\``
      : "a newer build wrote it: update this one";
  return new BitswarmError("RUN_OF_OTHER_BUILD", `${what}; this build reads format ${reads}: ${advice}`);
}

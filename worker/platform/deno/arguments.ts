// Reads the Deno worker's command line: a few options, and the link of a run or that it comes over standard input.

import { BitswarmError } from "../../../shared/base/errors.ts";

export interface DenoArguments {
  /** `-` where it is the first line of standard input: a command line is everybody's on this machine to read. */
  readonly url: string;
  readonly name: string;
  /** End when standard input ends: whoever started this process is gone then. */
  readonly parentWatch: boolean;
  /** Measure kernels for this adapter. */
  readonly tune: boolean;
  /** The folder that keeps what was measured. */
  readonly tunings: string | undefined;
  /** The folder that keeps this worker's key pair. */
  readonly keys: string | undefined;
}

const usage = "usage: main.js URL|- [--name NAME] [--no-tune] [--tunings FOLDER] [--keys FOLDER] [--parent-watch]";

/** @throws CONFIG_INVALID */
export function readDenoArguments(args: readonly string[]): DenoArguments {
  let url: string | undefined;
  let name = "deno";
  let parentWatch = false;
  let tune = true;
  let tunings: string | undefined;
  let keys: string | undefined;
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--parent-watch") parentWatch = true;
    else if (arg === "--no-tune") tune = false;
    else if (arg === "--name" || arg === "--tunings" || arg === "--keys") {
      const value = rest.shift();
      if (!value) throw new BitswarmError("CONFIG_INVALID", `${arg} wants a value; ${usage}`);
      if (arg === "--name") name = value;
      else if (arg === "--keys") keys = value;
      else tunings = value;
    } else if (arg.startsWith("--") || url !== undefined) {
      throw new BitswarmError("CONFIG_INVALID", `${JSON.stringify(arg)} is not understood; ${usage}`);
    } else url = arg;
  }
  if (url === undefined) throw new BitswarmError("CONFIG_INVALID", `the link of a run is missing; ${usage}`);
  return { url, name, parentWatch, tune, tunings, keys };
}

// Reads the Deno worker's command line: a few options, and the link of a run or that it comes over standard input.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { LEAST_SHARE, shareIn } from "../../../shared/base/gpu-share.ts";

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
  /** The folder that keeps what was fetched. */
  readonly content: string | undefined;
  /** The most of it. */
  readonly cacheMiB: number | undefined;
  /** How much of the time the GPU may compute. */
  readonly share: number | undefined;
}

const usage =
  "usage: main.js URL|- [--name NAME] [--no-tune] [--tunings FOLDER] [--keys FOLDER] [--content FOLDER [--cache-mib N]] [--throttle SHARE] [--parent-watch]";

const valued = ["--name", "--tunings", "--keys", "--content", "--cache-mib", "--throttle"] as const;
type Valued = (typeof valued)[number];
const isValued = (arg: string): arg is Valued => (valued as readonly string[]).includes(arg);

/** @throws CONFIG_INVALID */
export function readDenoArguments(args: readonly string[]): DenoArguments {
  let url: string | undefined;
  let parentWatch = false;
  let tune = true;
  const values: { [name in Valued]?: string } = {};
  const rest = [...args];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === "--parent-watch") parentWatch = true;
    else if (arg === "--no-tune") tune = false;
    else if (isValued(arg)) {
      const value = rest.shift();
      if (!value) throw new BitswarmError("CONFIG_INVALID", `${arg} wants a value; ${usage}`);
      values[arg] = value;
    } else if (arg.startsWith("--") || url !== undefined) {
      throw new BitswarmError("CONFIG_INVALID", `${JSON.stringify(arg)} is not understood; ${usage}`);
    } else url = arg;
  }
  if (url === undefined) throw new BitswarmError("CONFIG_INVALID", `the link of a run is missing; ${usage}`);
  const { "--name": name = "deno", "--tunings": tunings, "--keys": keys, "--content": content } = values;
  const share = shareOf(values["--throttle"]);
  return { url, name, parentWatch, tune, tunings, keys, content, cacheMiB: mebibytes(values["--cache-mib"]), share };
}

function shareOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const share = shareIn(text);
  if (share !== undefined) return share;
  throw new BitswarmError("CONFIG_INVALID", `--throttle must be ${LEAST_SHARE} to 1; got ${text}; ${usage}`);
}

function mebibytes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0) return value;
  throw new BitswarmError("CONFIG_INVALID", `--cache-mib must be a whole number from 0; got ${text}; ${usage}`);
}

// What commands that serve workers have in common: their options, the link's token, and what signals do.

import { closeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { ReachRequest } from "../server/reach.ts";
import { type Runtime, runtimes } from "./local-workers.ts";
import { type DoorRequest, USUAL_HOST } from "./serve-door.ts";

/** What a shell says of a program that Ctrl-C ended. */
export const INTERRUPTED = 130;
const MOST_WORKERS = 64;
const MOST_TOKEN = 512;

export interface ServeOptions extends ReachRequest, DoorRequest {
  readonly workers: number;
  readonly runtime: Runtime;
  readonly port: number;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

function parseToken(text: string): string {
  if (text.length > 0 && text.length <= MOST_TOKEN && !/\s/.test(text)) return text;
  throw new InvalidArgumentError(`It must be 1 to ${MOST_TOKEN} characters without spaces.`);
}

/**
 * The link's token as it was chosen: by option, file or environment; undefined where it was not.
 * @throws CONFIG_INVALID
 */
export async function chosenToken({ token, tokenFile }: ServeOptions): Promise<string | undefined> {
  const { BITSWARM_TOKEN: fromEnvironment } = process.env;
  // What is started here inherits the environment, and has no use for it.
  delete process.env.BITSWARM_TOKEN;
  if (token !== undefined) return token;
  const source = tokenFile ?? "BITSWARM_TOKEN";
  let text = fromEnvironment;
  try {
    if (tokenFile !== undefined) text = (await readFile(tokenFile, "utf8")).trim();
    return text === undefined ? undefined : parseToken(text);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new BitswarmError("CONFIG_INVALID", `the token of ${source} cannot be taken: ${why}`, { cause });
  }
}

/** Adds the options of `ServeOptions` to a command. */
export function withServeOptions(command: Command): Command {
  return command
    .option("--workers <n>", "workers to start on this machine; 0 for none", wholeNumber(0, MOST_WORKERS), 2)
    .addOption(new Option("--runtime <runtime>", "what these run on").choices(runtimes).default("auto"))
    .option("--port <n>", "port of the page and the workers; 0 for any free one", wholeNumber(0, 65_535), 8080)
    .option("--host <address>", "address to listen on; 0.0.0.0 for all of this machine's", USUAL_HOST)
    .option(
      "--lan [address]",
      "let the room in: https at this machine's address in its network, with a certificate of its own, a QR code and a slide for the projector; or at that address or interface",
    )
    .option(
      "--tls-cert <file>",
      "https with a certificate of your own: PEM, the server's first, then those that signed it",
    )
    .option("--tls-key <file>", "its private key, PEM")
    .option(
      "--token <text>",
      "the link's secret, instead of a random one; other users of this machine see it in the list of processes, unlike that of --token-file or BITSWARM_TOKEN",
      parseToken,
    )
    .option("--token-file <path>", "a file with the link's secret")
    .option(
      "--behind-proxy [addresses]",
      "take volunteers' addresses from X-Forwarded-For, as proxies at these addresses and networks (with commas between; this machine's own unless given) wrote it",
    )
    .addOption(
      new Option(
        "--public-url <url>",
        "what volunteers open where that is not this machine's own address: of a TLS proxy or a tunnel, with the path that it takes off",
      ).env("BITSWARM_PUBLIC_URL"),
    )
    .option("--allow-origin <origin>", "whose pages may join beside those; may be repeated", collect)
    .option("--json", "print only JSON lines on standard output");
}

/** Node sets its terminal back when it ends, and aborts where that is gone (node::ResetStdio), unless it was closed. */
function letGoOfTerminal(): void {
  for (const fd of [0, 1, 2]) {
    try {
      closeSync(fd);
    } catch {}
  }
}

/**
 * The first signal aborts what this gives, the second ends at once. Asked for before anything is said or started, so
 * that no signal finds nobody who listens.
 */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const interrupt = () => {
    // What is kept is renamed into place, so ending here leaves all of it whole.
    if (stop.signal.aborted) process.exit(INTERRUPTED);
    stop.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  // A terminal that is closed says so by SIGHUP, once or twice, or only by writes that fail.
  let hungUp = false;
  const hangUp = () => {
    if (!hungUp) process.once("exit", letGoOfTerminal);
    hungUp = true;
    stop.abort();
  };
  process.on("SIGHUP", hangUp);
  for (const stream of [process.stdout, process.stderr]) if (stream.isTTY) stream.on("error", hangUp);
  return stop.signal;
}

/** Does this once what is asked for by a signal, which may have come already. */
export function onStop(signal: AbortSignal, stop: () => void): void {
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
}

// What the coordinator says to the person who started it: how to lend a GPU at the beginning, what came out at the end.

import type { RunConfig } from "../../shared/run/config.ts";
import type { NetworkScores } from "../../shared/tasks/shown-score.ts";
import { commandText } from "../base/command-text.ts";
import type { ModelSizes } from "../checkpoint/export.ts";
import type { RunSummary } from "../engine/engine.ts";
import type { RunDirectory } from "../run/run-directory.ts";
import { duration } from "./progress-text.ts";
import { filled, PLAIN_COLUMNS, paragraph } from "./terminal-text.ts";

const loopback = /^(127(\.\d+){3}|::1|localhost)$/;

/** Widest prose, however wide the window is. */
const WIDEST = 100;

/** What others need to come by the link; nothing for https, which is all that browsers ask for. */
function reachText(url: string, host: string): string | undefined {
  if (url.startsWith("https:")) return undefined;
  return loopback.test(host)
    ? "The link works on this machine. Browsers elsewhere give WebGPU to https pages only: put a TLS proxy or a tunnel before it, and start with --public-url and --behind-proxy."
    : "Browsers on other machines give WebGPU to https pages only: put a TLS proxy or a tunnel before it, and start with --public-url and --behind-proxy. `npx worker join` needs neither.";
}

/**
 * @param host in the link, or where the coordinator listens
 * @param columns of the reader's window
 */
export function welcomeLines(
  { path, run }: RunDirectory,
  url: string,
  host: string,
  workers: number,
  columns = PLAIN_COLUMNS,
): string[] {
  const reach = reachText(url, host);
  const prose = (text: string) => paragraph(text, Math.min(columns - 1, WIDEST));
  return [
    // A path and a link stay whole, too.
    ...filled([`run ${run}`, `in ${path}`], columns - 1),
    "",
    `  Lend a GPU: open ${url}`,
    "",
    ...(reach === undefined ? [] : prose(reach)),
    ...(workers === 0 ? prose("No local workers (--workers 0): the run waits for volunteers.") : []),
    "",
  ];
}

function kibibytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

const FACT = 24;

/** A line of the summary, or several where the window is narrow. */
function fact(name: string, what: string, columns: number): string[] {
  const [first, ...rest] = what.split(" ");
  return filled([`  ${name.padEnd(FACT)} ${first}`, ...rest], columns - 1, " ", " ".repeat(FACT + 3));
}

/** A line a network, as the program calls it. */
function scoreFacts(scores: NetworkScores, columns: number): string[] {
  const facts = Object.values(scores).flatMap(({ title, sentence }) => fact(title, sentence, columns));
  return facts.length > 0 ? facts : fact("score", "not evaluated yet", columns);
}

/** @param columns of the reader's window */
export function summaryLines(
  summary: RunSummary,
  { path, run }: Pick<RunDirectory, "path" | "run">,
  { binaryBytes, teacherBytes }: ModelSizes,
  { epochs }: Pick<RunConfig, "epochs">,
  seconds: number,
  columns = PLAIN_COLUMNS,
): string[] {
  const ratio = (teacherBytes / binaryBytes).toFixed(1);
  const { step, steps, samples, scores, checkpoint, finished } = summary;
  return [
    "",
    `run ${run} ${finished ? "ended" : "was stopped"} after step ${step} of ${steps}`,
    ...scoreFacts(scores, columns),
    ...fact(
      "size",
      `${kibibytes(binaryBytes)}; in full precision ${kibibytes(teacherBytes)} (${ratio} times)`,
      columns,
    ),
    ...fact("time", `${duration(seconds)}, ${samples} training samples in all`, columns),
    // A path stays whole, as it is copied.
    ...fact("checkpoint", checkpoint, Number.POSITIVE_INFINITY),
    "",
    step < steps
      ? `  go on:   ${commandText("coordinator", ["resume", path])}`
      : `  longer:  ${commandText("coordinator", ["resume", path, "--set", `epochs=${epochs + 1}`])}`,
    `  export:  ${commandText("coordinator", ["export", path, "--out", "model.safetensors"])}`,
  ];
}

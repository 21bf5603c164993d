// What the coordinator says to the person who started it: how to lend a GPU at the beginning, what came out at the end.

import { filled, PLAIN_COLUMNS, paragraph } from "../../shared/base/terminal-text.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { NetworkScores } from "../../shared/tasks/shown-score.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { commandText } from "../base/command-text.ts";
import type { DashboardTokens, RunTokens } from "../base/token.ts";
import type { ModelSizes } from "../checkpoint/export.ts";
import { DASHBOARD_PATH } from "../dashboard/dashboard-path.ts";
import { DEMO_PATH } from "../demo/demo-networks.ts";
import type { RunSummary } from "../engine/engine.ts";
import type { RunDirectory } from "../run/run-directory.ts";
import type { RunServer } from "../server/server.ts";
import { duration } from "./progress-text.ts";

const loopback = /^(127(\.\d+){3}|::1|localhost)$/;

/** Widest prose, however wide the window is. */
const WIDEST = 100;

/** What others need to come by the link; nothing for https, which is all that browsers ask for. */
function reachText(url: string, host: string): string | undefined {
  if (url.startsWith("https:")) return undefined;
  return loopback.test(host)
    ? "The link works on this machine. For others in its network start with --lan, which needs nothing else; for the internet put a TLS proxy or a tunnel before it (--public-url, --behind-proxy), or bring a certificate (--tls-cert)."
    : `Browsers on other machines give WebGPU to https pages only: start with --lan in place of --host for those in this network, with --tls-cert, or with --public-url and --behind-proxy behind a TLS proxy or a tunnel. \`${commandText("worker", ["join"])}\` needs none of them.`;
}

/**
 * @param what it is called, and where it lies
 * @param host in the link, or where the coordinator listens
 * @param columns of the reader's window
 */
export function linkLines(
  what: string,
  path: string,
  url: string,
  host: string,
  workers: number,
  columns = PLAIN_COLUMNS,
): string[] {
  const reach = reachText(url, host);
  const prose = (text: string) => paragraph(text, Math.min(columns - 1, WIDEST));
  const more = [
    ...(reach === undefined ? [] : prose(reach)),
    ...(workers === 0 ? prose("No local workers (--workers 0): the run waits for volunteers.") : []),
  ];
  return [
    // A path and a link stay whole, too.
    ...filled([what, `in ${path}`], columns - 1),
    "",
    `  Lend a GPU: open ${url}`,
    "",
    ...more,
    ...(more.length === 0 ? [] : [""]),
  ];
}

/** What a run says as it begins, as `linkLines` has it. */
export function welcomeLines(
  { path, run }: RunDirectory,
  url: string,
  host: string,
  workers: number,
  columns?: number,
): string[] {
  return linkLines(`run ${run}`, path, url, host, workers, columns);
}

/**
 * Where whoever runs this looks on. The link stays whole, as it is opened.
 * @param here by the address of this machine alone, whose browser need not trust the room's certificate for it
 */
export function dashboardLines(
  server: Pick<RunServer, "linkTo" | "localLinkTo">,
  { dashboardToken }: DashboardTokens,
  here: boolean,
): string[] {
  const link = here
    ? server.localLinkTo(DASHBOARD_PATH, dashboardToken)
    : server.linkTo(DASHBOARD_PATH, dashboardToken);
  return [`  Look on:     open ${link}`, ""];
}

/** Where what was trained is tried, once there is nothing else to do. */
export function demoLines(server: Pick<RunServer, "linkTo">, { token }: Pick<RunTokens, "token">): string[] {
  return ["", `  Try it: open ${server.linkTo(DEMO_PATH, token)}`, "", "Pages are served until Ctrl-C."];
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

/** How what was trained is tried: on a picture, or on films where its task follows targets. */
function tryLine(path: string, task: RunConfig["task"] | undefined): string {
  const follows = task !== undefined && tasks.get(task.kind).tracking !== undefined;
  return follows
    ? `  track:   ${commandText("coordinator", ["track", path, "--data", "otb", "--root", "FOLDER"])}`
    : `  predict: ${commandText("coordinator", ["predict", path, "picture.png"])}`;
}

/** @param columns of the reader's window @param flags to go on with, so that it is served as it was */
export function summaryLines(
  summary: RunSummary,
  { path, run }: Pick<RunDirectory, "path" | "run">,
  { binaryBytes, teacherBytes }: ModelSizes,
  { epochs, task }: Pick<RunConfig, "epochs"> & Partial<Pick<RunConfig, "task">>,
  seconds: number,
  columns = PLAIN_COLUMNS,
  flags: readonly string[] = [],
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
      ? `  go on:   ${commandText("coordinator", ["resume", path, ...flags])}`
      : `  longer:  ${commandText("coordinator", ["resume", path, ...flags, "--set", `epochs=${epochs + 1}`])}`,
    `  export:  ${commandText("coordinator", ["export", path, "--out", "model.safetensors"])}`,
    tryLine(path, task),
    // Pages end with the run; of one that is over they are served again.
    ...(step < steps ? [] : [`  demo:    ${commandText("coordinator", ["resume", path, ...flags, "--linger"])}`]),
  ];
}

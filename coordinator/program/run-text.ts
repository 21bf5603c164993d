// What the coordinator says to the person who started it: how to lend a GPU at the beginning, what came out at the end.

import type { RunConfig } from "../../shared/run/config.ts";
import type { NetworkScores } from "../../shared/tasks/task.ts";
import { commandText } from "../base/command-text.ts";
import type { ModelSizes } from "../checkpoint/export.ts";
import type { RunSummary } from "../engine/engine.ts";
import type { RunDirectory } from "../run/run-directory.ts";
import { duration } from "./progress-text.ts";

const loopback = /^(127(\.\d+){3}|::1|localhost)$/;

/** @param host in the link, or where the coordinator listens */
export function welcomeLines({ path, run }: RunDirectory, url: string, host: string, workers: number): string[] {
  const lines = [`run ${run} in ${path}`, "", `  Lend a GPU: open ${url}`, ""];
  if (url.startsWith("https:")) {
    // All that browsers ask for.
  } else if (loopback.test(host)) {
    lines.push(
      "  The link works on this machine. For others, start with --host 0.0.0.0; their browsers give WebGPU to",
    );
    lines.push("  https pages only, so put the coordinator behind https or a tunnel that ends in it.");
  } else {
    lines.push(
      "  Browsers on other machines give WebGPU to https pages only: put the coordinator behind https or a tunnel",
    );
    lines.push(`  that ends in it. \`npx worker join\` with Deno needs neither.`);
  }
  if (workers === 0) lines.push("  No local workers (--workers 0): the run waits for volunteers.");
  return [...lines, ""];
}

function kibibytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KiB`;
}

/** A line of the summary. */
function fact(name: string, what: string): string {
  return `  ${name.padEnd(24)} ${what}`;
}

/** A line a network, as the program calls it. */
function scoreFacts(scores: NetworkScores): string[] {
  const facts = Object.values(scores).map(({ title, sentence }) => fact(title, sentence));
  return facts.length > 0 ? facts : [fact("score", "not evaluated yet")];
}

export function summaryLines(
  summary: RunSummary,
  { path, run }: Pick<RunDirectory, "path" | "run">,
  { binaryBytes, teacherBytes }: ModelSizes,
  { epochs }: Pick<RunConfig, "epochs">,
  seconds: number,
): string[] {
  const ratio = (teacherBytes / binaryBytes).toFixed(1);
  const { step, steps, samples, scores, checkpoint, finished } = summary;
  return [
    "",
    `run ${run} ${finished ? "ended" : "was stopped"} after step ${step} of ${steps}`,
    ...scoreFacts(scores),
    fact("size", `${kibibytes(binaryBytes)}; in full precision ${kibibytes(teacherBytes)}, ${ratio} times as large`),
    fact("time", `${duration(seconds)}, ${samples} training samples in all`),
    fact("checkpoint", checkpoint),
    "",
    step < steps
      ? `  go on:   ${commandText("coordinator", ["resume", path])}`
      : `  longer:  ${commandText("coordinator", ["resume", path, "--set", `epochs=${epochs + 1}`])}`,
    `  export:  ${commandText("coordinator", ["export", path, "--out", "model.safetensors"])}`,
  ];
}

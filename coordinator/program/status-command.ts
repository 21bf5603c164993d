// `bitswarm status`: asks a running coordinator, or reads what a stopped run left on the disk.

import { lstat, readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { wrapped } from "../../shared/base/terminal-text.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { phaseProgram, placeOf, samplesAt } from "../../shared/run/program.ts";
import type { NetworkScores } from "../../shared/tasks/shown-score.ts";
import { downlinkBytes } from "../../shared/wire/downlink-bytes.ts";
import { type RunStatus, runStatusSchema } from "../../shared/wire/run-status.ts";
import { isDashboardToken, isOperatorToken } from "../../shared/wire/token-prefixes.ts";
import { commandText } from "../base/command-text.ts";
import { readNewestCheckpoint } from "../checkpoint/checkpoint.ts";
import { COMMIT_LOG, inspectCommitLog, standingCommits } from "../checkpoint/commit-log.ts";
import { DASHBOARD_PATH } from "../dashboard/dashboard-path.ts";
import { driverOf, readAddress } from "../run/run-claim.ts";
import { isRunDirectory, RUN_FILE } from "../run/run-directory.ts";
import { networkScores } from "../state/scores.ts";
import { costText, downlinkText, statusBlock } from "./progress-text.ts";

/** A run that nobody drives at the moment. */
export interface StoppedStatus {
  readonly run: string;
  readonly state: "stopped";
  /** Committed steps; those after the checkpoint's are computed again on resume. */
  readonly step: number;
  readonly steps: number;
  readonly samples: number;
  readonly scores: NetworkScores;
  /** What a volunteer fetches of the phase that comes, or came last. */
  readonly downlink?: NonNullable<RunStatus["downlink"]>;
  /** All its steps are done. */
  readonly finished: boolean;
  /** Of the configuration. */
  readonly epochs: number;
  readonly checkpoint: string;
  readonly checkpointStep: number;
  readonly notices: readonly string[];
}

const ANSWER_WITHIN_MS = 5000;

const problemSchema = z.object({ code: z.string(), message: z.string() });

/** Where the dashboard is: of a link as it is printed, which `status` understands, too. */
function isDashboardLink({ pathname, searchParams }: URL): boolean {
  const token = searchParams.get("token") ?? "";
  return pathname.endsWith(`/${DASHBOARD_PATH}`) && (isDashboardToken(token) || isOperatorToken(token));
}

async function askCoordinator(link: URL): Promise<RunStatus> {
  const dashboard = isDashboardLink(link);
  // Below the link's path: a proxy may have one for the run.
  const path = dashboard ? link.pathname.slice(0, -DASHBOARD_PATH.length) : link.pathname;
  const base = `${link.origin}${path.replace(/\/$/, "")}`;
  const url = new URL(`${base}/status${link.search}`);
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  } catch (cause) {
    throw new BitswarmError(
      "RUN_UNREACHABLE",
      `no coordinator answers at ${base}/; check that it runs, and the link's host, port and path`,
      { cause },
    );
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (response.status === 403) {
    const problem = problemSchema.safeParse(body);
    const what = problem.success ? problem.data.message : "the token is not that of the run";
    throw new BitswarmError("TOKEN_INVALID", `${what}; give the whole link that the coordinator printed, in quotes`);
  }
  const status = runStatusSchema.safeParse(body);
  if (dashboard && response.status === 404) {
    const what = `${link.origin}${link.pathname} is the dashboard of a run's folder, not of a coordinator`;
    throw new BitswarmError(
      "RUN_UNREACHABLE",
      `${what}: ask for the folder, \`${commandText("coordinator", ["status", "RUN_DIR"])}\``,
    );
  }
  if (!response.ok || !status.success) {
    throw new BitswarmError(
      "RUN_UNREACHABLE",
      `${base}/ answers, but not as a coordinator does (HTTP ${response.status})`,
    );
  }
  return status.data;
}

async function readStopped(runDir: string): Promise<StoppedStatus> {
  const { path, manifest, skipped } = await readNewestCheckpoint(runDir);
  const { records, damage } = await inspectCommitLog(runDir);
  const commits = standingCommits(records);
  const program = phaseProgram(manifest.config, manifest.dataset.trainSamples);
  const evaluated = (network: string) => {
    const newest = commits.findLast((commit) => commit.type === "evaluate" && commit.network === network);
    return newest?.type === "evaluate" ? newest : manifest.scores[network];
  };
  const ofEach = <T>(of: (network: string) => T) =>
    Object.fromEntries(program.networks.map(({ name }): [string, T] => [name, of(name)]));
  const step = commits.reduce((most, commit) => Math.max(most, commit.step), manifest.step);
  const driver = await driverOf(runDir);
  const { pass } = placeOf(program, Math.min(step, program.steps - 1), manifest.config.batch);
  const networks = buildNetworks(manifest.config, manifest.dataset, program);
  return {
    run: manifest.run,
    state: "stopped",
    step,
    steps: program.steps,
    samples: samplesAt(program, step, manifest.config.batch),
    scores: networkScores({
      config: manifest.config,
      program,
      evaluations: ofEach((network) => evaluated(network)?.value ?? null),
      others: ofEach((network) => evaluated(network)?.others ?? {}),
    }),
    downlink: {
      ...downlinkBytes(networks, manifest.config, phaseNamed(program, pass.phase)),
      updateBytes: null,
    },
    finished: manifest.step >= program.steps,
    epochs: manifest.config.epochs,
    checkpoint: path,
    checkpointStep: manifest.step,
    notices: [
      ...(driver === undefined
        ? []
        : [
            driver.sure
              ? `process ${driver.pid} on ${driver.host} drives it, and does not answer: what is told here is on the disk`
              : `process ${driver.pid} on ${driver.host} drove it last and did not let go of it: where it still runs, it goes on there`,
          ]),
      ...skipped.map((damaged) => `skipped ${damaged.path}: ${damaged.reason}`),
      ...(damage === null ? [] : [damage]),
    ],
  };
}

/**
 * The status behind a link or a run's folder.
 * @throws RUN_UNREACHABLE, TOKEN_INVALID, CONFIG_INVALID for what is neither, and what reading a checkpoint throws
 */
export async function readStatus(target: string): Promise<RunStatus | StoppedStatus> {
  if (/^https?:/.test(target) && URL.canParse(target)) return askCoordinator(new URL(target));
  if (!(await isRunDirectory(target))) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `${JSON.stringify(target)} is neither the link of a run (http://HOST:PORT/?token=TOKEN) nor the folder of one`,
    );
  }
  const address = await readAddress(target);
  if (!address) return readStopped(target);
  try {
    return await askCoordinator(new URL(address.url));
  } catch (error) {
    // A coordinator that was killed could not take its address back; another run may have its port now.
    if (error instanceof BitswarmError) return readStopped(target);
    throw error;
  }
}

/** Columns of what is printed to no window. */
const WIDE = 120;

/** What `bitswarm status` prints for people; commands and links are whole, all else is narrower than the window. */
export function statusText(
  status: RunStatus | StoppedStatus,
  target: string,
  columns = process.stdout.columns ?? WIDE,
): string {
  const set = (text: string) => wrapped(`  ${text}`, columns - 1);
  const scores = Object.values(status.scores).flatMap(({ title, name, text }) => set(`${title}: ${name} ${text}`));
  if (status.state !== "stopped") {
    const cost = costText(status);
    const lines = [...(status.downlink ? [downlinkText(status.downlink)] : []), ...(cost === undefined ? [] : [cost])];
    return [...statusBlock(status, columns), ...lines.flatMap(set), ...scores].join("\n");
  }
  const { run, step, steps, samples, finished, epochs, checkpoint, checkpointStep, notices, downlink } = status;
  const folder = resolve(target);
  const again =
    step > checkpointStep ? `; the ${step - checkpointStep} steps after it are computed again on resume` : "";
  const ways = finished
    ? [
        `  train it longer: ${commandText("coordinator", ["resume", folder, "--set", `epochs=${epochs + 1}`])}`,
        `  export it: ${commandText("coordinator", ["export", folder, "--out", "model.safetensors"])}`,
      ]
    : [`  go on: ${commandText("coordinator", ["resume", folder])}`];
  return [
    ...wrapped(
      `${run} ${finished ? "has come to its end" : "is not running"}: step ${step}/${steps} committed, ${samples} training samples`,
      columns - 1,
    ),
    ...set(`newest checkpoint: ${basename(checkpoint)}${again}`),
    ...(downlink ? set(downlinkText(downlink)) : []),
    ...scores,
    ...notices.flatMap(set),
    ...ways,
  ]
    .map(withoutControls)
    .join("\n");
}

/** What a folder from elsewhere says must not speak to the terminal; whole, since its commands are copied. */
function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, "�");
}

/**
 * The run that was worked on last of those in a folder.
 * @throws CONFIG_INVALID where there is none
 */
export async function newestRun(runs = "runs"): Promise<string> {
  const names = await readdir(runs).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(runs, name);
      if (!(await isRunDirectory(path))) return [];
      const times = await Promise.all([COMMIT_LOG, RUN_FILE].map((file) => lstat(join(path, file)).catch(() => null)));
      return [{ path, time: Math.max(...times.map((facts) => facts?.mtimeMs ?? 0)) }];
    }),
  );
  const [newest] = found.flat().sort((a, b) => b.time - a.time);
  if (newest) return newest.path;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `there is no run in ${resolve(runs)}: give the link of a run, in quotes, or the folder of one`,
  );
}

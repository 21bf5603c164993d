// `bitswarm dashboard`: what a run did, from its folder, whether or not somebody drives it.

import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { packageRoot } from "../base/package-root.ts";
import { createDashboardToken, createOperatorToken } from "../base/token.ts";
import { Dashboard } from "../dashboard/dashboard.ts";
import { serveAlone } from "../dashboard/lone-server.ts";
import { keptDashboardToken } from "../run/run-directory.ts";
import { readPageFiles } from "../server/page-files.ts";
import type { CommandTools } from "./command-tools.ts";
import { FolderRun } from "./folder-run.ts";
import { tellLogged } from "./logged-events.ts";
import { newestRun } from "./status-command.ts";

/** Between two looks at the folder. */
const LOOK_EVERY_MS = 2000;

interface DashboardFlags {
  readonly host: string;
  readonly port: number;
}

const help = `
Shows the curves, scores, ledger and log of a run from its folder, and of the runs beside it, until Ctrl-C. Nothing in the
folder is changed. Of a run that is going on it shows what comes; who works at it, and commands, are on the dashboard of
the coordinator that drives it, whose link is printed when that starts.

Examples:
  $ npx coordinator dashboard
      the run in ./runs that was worked on last
  $ npx coordinator dashboard runs/fashion-lenet-20250131-154501-3fa9 --port 0
`;

async function dashboardCommand(given: string | undefined, { host, port }: DashboardFlags): Promise<void> {
  const run = await FolderRun.open(given ?? (await newestRun()));
  const token = (await keptDashboardToken(run.path)) ?? createDashboardToken();
  const dashboard = new Dashboard({
    // Nobody has the operator's: there is nothing to act on.
    tokens: { dashboardToken: token, operatorToken: createOperatorToken() },
    page: await readPageFiles(join(packageRoot(), "dist", "dashboard")),
    source: { status: () => run.status(), watch: () => run.watch(), vitals: () => [] },
    path: run.path,
    clock: systemClock,
  });
  const tell = async () => tellLogged(await run.events(), (event, time) => dashboard.event(event, time));
  await tell();
  const server = await serveAlone(dashboard, { host, port, token });
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  process.stdout.write(`${run.status().run}, from ${run.path}\n\n  Look on: open ${server.url}\n\nCtrl-C ends it.\n`);
  const timer = setInterval(async () => {
    try {
      await run.refresh();
      await tell();
      await dashboard.follow();
    } catch {
      // The folder is being written, or is gone for a moment: the next look sees more.
    }
  }, LOOK_EVERY_MS);
  await ended;
  clearInterval(timer);
  await server.close();
}

/** Adds the command. */
export function addDashboardCommand(program: Command, { wholeNumber, asPasted }: CommandTools): void {
  program
    .command("dashboard")
    .description("show what a run did, from its folder: curves, scores, ledger, log")
    .argument("[run-dir]", "the run's folder; the newest run in ./runs unless given")
    .option("--port <n>", "port of the page; 0 for any free one", wholeNumber(0, 65_535), 8081)
    .option("--host <address>", "address to listen on; 0.0.0.0 for all of this machine's", "127.0.0.1")
    .addHelpText("after", asPasted(help))
    .action(dashboardCommand);
}

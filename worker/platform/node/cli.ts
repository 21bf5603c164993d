// The program `worker`: lends this machine's GPU to a run, in a browser without a window or in Deno.

import { closeSync } from "node:fs";
import path from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { unknownVariables } from "../../../shared/base/environment.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";
import { MAX_LINK } from "../../../shared/wire/text-limit.ts";
import { launchBrowserWorkers } from "./browser-workers.ts";
import { launchDenoWorkers } from "./deno-workers.ts";
import { packageRoot, packageVersion } from "./package-root.ts";
import type { LaunchedWorkers, Runtime, WorkersOptions } from "./supervise.ts";
import { hasHardwareGpu } from "./vulkan.ts";

interface JoinOptions {
  readonly runtime: Runtime | "auto";
  readonly count: number;
  readonly name?: string;
  readonly headful?: boolean;
  readonly tune: boolean;
  readonly json?: boolean;
  readonly parentWatch?: boolean;
}

const mostWorkers = 64;

const joinHelp = `
URL is the link that the coordinator prints. Put it in quotes: shells give "?" and "&" a meaning of their own. Every
user of this machine can read it in the list of processes; where that matters give it over standard input, as "-", or in
BITSWARM_LINK.

Examples:
  $ npx worker join "http://192.168.1.20:8080/?token=TOKEN"
      one worker; in Chromium where there is one, else in Deno
  $ npx worker join "http://192.168.1.20:8080/?token=TOKEN" --runtime deno --count 2 --name attic
      two Deno processes, called attic-1 and attic-2
  $ npx worker join "http://localhost:8080/?token=TOKEN" --runtime browser --headful
      a browser window that shows what the worker does
  $ npx worker join - < link.txt
      the link from a file

Ends by itself, with exit code 0, when the run is over. Ctrl-C leaves the run at once and in order: the coordinator gives
the work in hand to another worker. A worker that dies is started again, three times in a row. Without a GPU the work is
done by a software driver, on the CPU.

A worker compiles its kernels before it asks for work. Unless --no-tune is given it also measures them here, once for each
kind of work: about 4 s on a GPU, half a second without one, 10 s at most where the machine is busy. The fastest are
remembered, by Deno in bitswarm/tunings of the user's cache folder, by a browser in its profile.

Environment:
  BITSWARM_LINK      the link, where no URL is given
  CHROMIUM_PATH      the Chromium or Chrome to run, where it is not found on PATH
  DENO_PATH          the Deno to run, where npm has not installed one
  XDG_CACHE_HOME     the user's cache folder, in place of ~/.cache
  VK_ICD_FILENAMES   the Vulkan driver for Deno, in place of the one that is chosen`;

/** Examples with the program as it is found from here: npx knows it within the checkout only. */
function asPasted(help: string): string {
  const within = path.relative(packageRoot(), process.cwd());
  if (!within.startsWith("..") && !path.isAbsolute(within)) return help;
  const file = path.join(packageRoot(), "dist", "worker", "platform", "node", "bin.js");
  return help.replaceAll("npx worker", `node ${/[^\w/.:\\-]/.test(file) ? `"${file}"` : file}`);
}

const program = new Command("worker")
  .version(`bitswarm ${packageVersion()}, protocol ${PROTOCOL_VERSION}, Node ${process.versions.node}`)
  // What commander refuses has a code, as all that fails has.
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "error CONFIG_INVALID: ")) })
  .description("Lend this machine's GPU to a bitswarm run.")
  .addHelpText("after", asPasted('\nExample:\n  $ npx worker join "http://192.168.1.20:8080/?token=TOKEN"'))
  .showHelpAfterError("(see worker --help)");

program
  .command("join")
  .description("join the run behind URL with one or more workers")
  .argument("[url]", "the coordinator's link, http://HOST:PORT/?token=TOKEN; - reads it from standard input")
  .addOption(
    new Option("--runtime <runtime>", "what the workers run on").choices(["auto", "deno", "browser"]).default("auto"),
  )
  .option("--count <n>", `how many workers, 1 to ${mostWorkers}`, parseCount, 1)
  .option("--name <name>", "what the dashboard calls this machine")
  .option("--headful", "show the browser's window")
  .option("--no-tune", "take the kernels as they come: measure none on this machine, remember none")
  .option("--json", "print a JSON line on standard output for every worker that joined or ended")
  .option("--parent-watch", "leave when standard input closes, for programs that start workers")
  .addHelpText("after", asPasted(joinHelp))
  .showHelpAfterError("(see worker join --help)")
  .action(join);

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= mostWorkers) return count;
  throw new InvalidArgumentError(`It must be a whole number from 1 to ${mostWorkers}.`);
}

/** The first line of standard input, which stays open. @throws CONFIG_INVALID where it does not end for too long */
async function linkFromInput(): Promise<string> {
  let text = "";
  for await (const chunk of process.stdin.iterator({ destroyOnReturn: false })) {
    text += chunk;
    if (text.includes("\n")) break;
    if (text.length > MAX_LINK) {
      throw new BitswarmError("CONFIG_INVALID", `the link on standard input is longer than ${MAX_LINK} characters`);
    }
  }
  return text.split("\n", 1)[0].trim();
}

/** @throws CONFIG_INVALID where there is none */
async function linkOf(url: string | undefined): Promise<string> {
  if (url === "-") return linkFromInput();
  const link = url ?? process.env.BITSWARM_LINK;
  // Chromium and Deno inherit the environment, and have no use for it.
  delete process.env.BITSWARM_LINK;
  if (link) return link;
  throw new BitswarmError(
    "CONFIG_INVALID",
    "there is no link: give the one that the coordinator printed, in quotes, or - to read it from standard input, or set BITSWARM_LINK",
  );
}

function letGoOfTerminal(): void {
  for (const fd of [0, 1, 2]) {
    try {
      closeSync(fd);
    } catch {}
  }
}

async function join(given: string | undefined, options: JoinOptions): Promise<void> {
  const url = await linkOf(given);
  const workersOptions: WorkersOptions = {
    url,
    count: options.count,
    name: options.name,
    tune: options.tune,
    onLine: (line) => process.stderr.write(`${line}\n`),
    onEvent: (event) => {
      if (options.json) process.stdout.write(`${JSON.stringify(event)}\n`);
      const what = event.event === "joined" ? `joined as ${event.worker}` : "the run is over";
      process.stderr.write(`[${event.runtime} ${event.slot}] ${what}\n`);
    },
  };

  const leave = new AbortController();
  const interrupt = () => {
    // A second Ctrl-C does not wait: the workers end with this process.
    if (leave.signal.aborted) process.exit(1);
    leave.abort();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  // Of a terminal that is closed, which may be said twice; Node would abort at its end where the terminal is gone.
  process.once("SIGHUP", () => process.once("exit", letGoOfTerminal));
  process.on("SIGHUP", () => leave.abort());
  if (options.parentWatch) {
    process.stdin
      .on("end", () => leave.abort())
      .on("error", () => leave.abort())
      .resume();
    if (process.stdin.readableEnded) leave.abort();
  }

  const workers = await launch(options, workersOptions);
  const stop = () => void workers.stop();
  leave.signal.addEventListener("abort", stop, { once: true });
  if (leave.signal.aborted) stop();
  await workers.exited;
}

async function launch(options: JoinOptions, workersOptions: WorkersOptions): Promise<LaunchedWorkers> {
  const inBrowser = () => launchBrowserWorkers({ ...workersOptions, headful: options.headful === true });
  const inDeno = () => launchDenoWorkers(workersOptions);
  switch (options.runtime) {
    case "browser":
      return inBrowser();
    case "deno":
      return inDeno();
    case "auto": {
      // A GPU is best lent as volunteers lend it; software drivers are faster outside the browser.
      const browserFirst = options.headful === true || hasHardwareGpu();
      const [first, second] = browserFirst ? [inBrowser, inDeno] : [inDeno, inBrowser];
      try {
        return await first();
      } catch (error) {
        if (!(error instanceof BitswarmError) || error.code !== "RUNTIME_MISSING") throw error;
        process.stderr.write(`${error.message.split(". ")[0]}: trying ${first === inDeno ? "a browser" : "Deno"}\n`);
        return second();
      }
    }
    default:
      return options.runtime satisfies never;
  }
}

// Whoever reads the output may go first; that is no reason to fail.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
for (const line of unknownVariables(process.env)) process.stderr.write(`${line}\n`);
await program.parseAsync();
process.exit();

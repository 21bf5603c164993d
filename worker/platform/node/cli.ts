// The program `worker`: lends this machine's GPU to a run, in a browser without a window or in Deno.

import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { unknownVariables } from "../../../shared/base/environment.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { LEAST_SHARE, shareIn } from "../../../shared/base/gpu-share.ts";
import { helpText, LEAST_DESCRIPTION, MOST_COLUMNS } from "../../../shared/base/help-text.ts";
import { PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";
import { MAX_LINK } from "../../../shared/wire/text-limit.ts";
import { launchBrowserWorkers } from "./browser-workers.ts";
import { launchDenoWorkers } from "./deno-workers.ts";
import { doctor, doctorHelp } from "./doctor-command.ts";
import { builtFolder, packageRoot, packageVersion } from "./package-root.ts";
import { canDraw, StatusBoard } from "./status-board.ts";
import type { LaunchedWorkers, Runtime, WorkersOptions } from "./supervise.ts";
import { hasHardwareGpu } from "./vulkan.ts";

interface JoinOptions {
  readonly runtime: Runtime | "auto";
  readonly count: number;
  readonly name?: string;
  readonly headful?: boolean;
  readonly tune: boolean;
  readonly cacheMib?: number;
  readonly throttle?: number;
  readonly dataHost?: readonly string[];
  readonly json?: boolean;
  readonly parentWatch?: boolean;
}

interface DoctorOptions {
  readonly runtime: Runtime | "auto";
  readonly json?: boolean;
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
the work in hand to another worker; a second one does not wait for that. kill -USR1 has it answer what it holds first, and
take no more. A worker that dies is started again, three times in a row. Without a GPU the work is done by a software
driver, on the CPU. In a terminal several workers have a line each, with what they have given so far. Several in a browser
are tabs of one, and share what they fetch; without a GPU Deno workers give more than twice as much.

A worker compiles its kernels before it asks for work. Unless --no-tune is given it also measures them here, once for each
kind of work: about 4 s on a GPU, half a second without one, 10 s at most where the machine is busy. The fastest are
remembered, by Deno in bitswarm/tunings of the user's cache folder, by a browser in its profile.

With --throttle 0.5 the GPU computes at most half of the time, with short pauses between short pieces of work, so that
the machine stays of use for other things. Leases are made smaller to fit.

What is fetched of the data is kept beside that (bitswarm/content), the last used of it up to --cache-mib: 4096, and in a
browser a quarter of what it grants at most. It may be deleted at any time, and is fetched again then.

A Deno worker talks to the coordinator alone, and where a run's data lie on another server, to that, if it is https or on the
coordinator's machine. From other servers they come through the coordinator, unless --data-host names them.

Environment:
  BITSWARM_LINK      the link, where no URL is given
  CHROMIUM_PATH      the Chromium or Chrome to run, where it is not found on PATH
  DENO_PATH          the Deno to run, where npm has not installed one
  DENO_CERT          a class room's certificate (its page /trust has it), for Deno workers to trust; a browser takes the
                     system's
  XDG_CACHE_HOME     the user's cache folder, in place of ~/.cache
  VK_ICD_FILENAMES   the Vulkan driver for Deno, in place of the one that is chosen`;

/** What the program is called, and how it is started from where the person is. */
export interface Called {
  /** In messages, as `worker --help`. */
  readonly name: string;
  /** In commands to paste, as `npx worker`. */
  readonly command: string;
}

/** npx knows it within the checkout only. */
export function workerInCheckout(): Called {
  const within = path.relative(packageRoot(), process.cwd());
  const file = path.join(builtFolder(), "worker", "platform", "node", "bin.js");
  const inside = !within.startsWith("..") && !path.isAbsolute(within);
  const command = inside ? "npx worker" : `node ${/[^\w/.:\\-]/.test(file) ? `"${file}"` : file}`;
  return { name: "worker", command };
}

function workerProgram({ name, command }: Called): Command {
  const { columns = MOST_COLUMNS + 1 } = process.stdout;
  const asPasted = (help: string) => helpText(help.replaceAll("npx worker", command), columns - 1);
  const program = new Command(name)
    .version(`bitswarm ${packageVersion()}, protocol ${PROTOCOL_VERSION}, Node ${process.versions.node}`)
    // Commander's own least is 40, half of a window.
    .configureHelp({ minWidthToWrap: LEAST_DESCRIPTION })
    // What commander refuses has a code, as all that fails has.
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "error CONFIG_INVALID: ")) })
    .description("Lend this machine's GPU to a bitswarm run.")
    .addHelpText("after", asPasted('\nExample:\n  $ npx worker join "http://192.168.1.20:8080/?token=TOKEN"'))
    .showHelpAfterError(`(see ${name} --help)`);

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
    .option("--cache-mib <n>", "keep at most so much of the data on this machine, in MiB", parseMebibytes)
    .option("--throttle <share>", `let the GPU compute at most this share of the time, ${LEAST_SHARE} to 1`, parseShare)
    .option("--data-host <host>", "let Deno workers fetch the data from this server too; may be repeated", parseHost)
    .option("--json", "print a JSON line on standard output whenever a worker joined, has given samples, or ended")
    .option("--parent-watch", "leave when standard input closes, for programs that start workers")
    .addHelpText("after", asPasted(joinHelp))
    .showHelpAfterError(`(see ${name} join --help)`)
    .action(join);

  program
    .command("doctor")
    .description("say what keeps a worker from working here, or from reaching the run behind URL")
    .argument("[url]", "the coordinator's link; - reads it from standard input; this machine alone where there is none")
    .addOption(
      new Option("--runtime <runtime>", "which to look at").choices(["auto", "deno", "browser"]).default("auto"),
    )
    .option("--json", "print each line as JSON: check, verdict, found, advice")
    .addHelpText("after", asPasted(doctorHelp))
    .showHelpAfterError(`(see ${name} doctor --help)`)
    .action(async (given: string | undefined, { runtime, json }: DoctorOptions) => {
      if (againTrusting(process.env)) return;
      const link = given === "-" ? await linkFromInput() : given || process.env.BITSWARM_LINK || undefined;
      delete process.env.BITSWARM_LINK;
      process.exitCode = await doctor(link, runtime === "auto" ? ["deno", "browser"] : [runtime], json === true);
    });
  return program;
}

/**
 * Node reads whom it trusts beside the system's when it starts, and from a variable of its own: a program that is to
 * trust whom Deno workers do is started once more. @returns whether it was, and has ended
 */
function againTrusting({ DENO_CERT, NODE_EXTRA_CA_CERTS, ...rest }: NodeJS.ProcessEnv): boolean {
  const wanted = pemIn(DENO_CERT);
  const trusted = pemIn(NODE_EXTRA_CA_CERTS);
  if (wanted === "" || trusted.includes(wanted)) return false;
  const folder = mkdtempSync(path.join(tmpdir(), "bitswarm-trust-"));
  try {
    const both = path.join(folder, "trusted.pem");
    writeFileSync(both, `${trusted}\n${wanted}\n`);
    const env = { ...rest, DENO_CERT, NODE_EXTRA_CA_CERTS: both };
    const { status } = spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit", env });
    process.exitCode = status ?? 1;
    return true;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a file has, where there is one: whoever cannot read it says so where it is used. */
function pemIn(file: string | undefined): string {
  try {
    return file ? readFileSync(file, "utf8").trim() : "";
  } catch {
    return "";
  }
}

/** What Deno takes for a host, and for nothing else. */
const HOST = /^(?:[a-z\d.-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

function parseHost(text: string, before: readonly string[] = []): readonly string[] {
  if (HOST.test(text)) return [...before, text];
  throw new InvalidArgumentError("It must be a host, or HOST:PORT.");
}

function parseShare(text: string): number {
  const share = shareIn(text);
  if (share !== undefined) return share;
  throw new InvalidArgumentError(`It must be a number from ${LEAST_SHARE} to 1.`);
}

function parseMebibytes(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value * 2 ** 20)) return value;
  throw new InvalidArgumentError("It must be a whole number from 0.");
}

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
  const finish = new AbortController();
  process.on("SIGUSR1", () => finish.abort());
  const url = await linkOf(given);
  const many = options.count > 1 && canDraw(process.stderr, process.env);
  const board = many ? new StatusBoard(process.stderr, options.count) : undefined;
  const workersOptions: WorkersOptions = {
    url,
    count: options.count,
    name: options.name,
    tune: options.tune,
    cacheMiB: options.cacheMib,
    share: options.throttle,
    dataHosts: options.dataHost,
    onLine: (line, from) => (board === undefined ? void process.stderr.write(`${line}\n`) : board.line(line, from)),
    onEvent: (event) => {
      board?.event(event);
      if (options.json) process.stdout.write(`${JSON.stringify(event)}\n`);
      // Without a board each worker says so itself.
      if (board !== undefined || event.event === "given") return;
      const over = finish.signal.aborted ? "has answered what it held, and left" : "the run is over";
      const what = event.event === "joined" ? `joined as ${event.worker}` : over;
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
  finish.signal.addEventListener("abort", () => workers.finish(), { once: true });
  if (finish.signal.aborted) workers.finish();
  await workers.exited.finally(() => board?.close());
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

/** Does what the words of the command line say, and ends the process. */
export async function runWorkerProgram(called: Called): Promise<never> {
  // Whoever reads the output may go first; that is no reason to fail.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  for (const line of unknownVariables(process.env)) process.stderr.write(`${line}\n`);
  await workerProgram(called).parseAsync();
  process.exit();
}

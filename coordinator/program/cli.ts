// The program `coordinator`: starts a run, goes on with one, says how one is doing, and exports what it trained.

import { closeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { unknownVariables } from "../../shared/base/environment.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/protocol.ts";
import { commandText } from "../base/command-text.ts";
import { packageVersion } from "../base/package-root.ts";
import { exportModel } from "../checkpoint/export.ts";
import { type OpenRun, openFreshRun, reopenRun } from "../run/open-run.ts";
import { readRunConfig } from "../run/run-config.ts";
import { type Reach, type ReachRequest, readReach } from "../server/reach.ts";
import { type SimulateOptions, simulateCommand, simulateHelp } from "../simulate/simulate-command.ts";
import { coordinate } from "./coordinate.ts";
import { type Runtime, runtimes } from "./local-workers.ts";
import { newestRun, readStatus, statusText } from "./status-command.ts";

interface ServeOptions extends ReachRequest {
  readonly workers: number;
  readonly runtime: Runtime;
  readonly port: number;
  readonly host: string;
  readonly maxSteps?: number;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

interface StartOptions extends ServeOptions {
  readonly runDir?: string;
  readonly set?: readonly string[];
  readonly seed?: number;
  readonly full?: boolean;
}

interface ResumeOptions extends ServeOptions {
  readonly set?: readonly string[];
}

/** What a shell says of a program that Ctrl-C ended. */
const INTERRUPTED = 130;
const MOST_WORKERS = 64;
const MOST_TOKEN = 512;

const startHelp = `
Without run.yaml the shipped example is trained: a 1-bit LeNet-5 on a part of Fashion-MNIST, a few minutes on two cores.
Every field that run.yaml may have, with its default, stands in the run.yaml that a run writes into its folder.

Examples:
  $ npx coordinator start
      the example, with two workers on this machine
  $ npx coordinator start run.yaml --workers 0 --host 0.0.0.0 --port 9000
      a run of your own, for volunteers alone
  $ npx coordinator start --public-url https://example.org/bitswarm/ --behind-proxy
      behind a TLS proxy on this machine; deploy/proxy.md of the checkout has the proxy's side
  $ npx coordinator start --full --set epochs=10 --set checkpoint.everySteps=50
      the example on all images, longer
  $ npx coordinator start --set method.kind=xnor
      XNOR-Net in place of RBCN; bireal and bnn as well
  $ npx coordinator start --set model.kind=wrn --set data.kind=cifar-10 --set data.root=FOLDER
      a WRN-22 on CIFAR-10's binary files; models are lenet, resnet and wrn
  $ npx coordinator start --max-steps 20 --json > steps.ndjson
      twenty steps, then an evaluation and the end

Ctrl-C once finishes the step in hand, writes a checkpoint, says how to go on, and exits with 0; so do SIGTERM and a
terminal that is closed (SIGHUP). A reader of a pipe that goes away ends nothing.
Ctrl-C twice ends at once with 130; the checkpoint before is whole. After a power cut, too: \`coordinator resume\`.

--json prints one line a step and one at the end, all else goes to standard error:
  {"event":"step","step","epoch","loss":{…},"samples","workers","paramsHash","bytes":{…},"loopDelayMs":{"max","p99"}}
  {"event":"done","step","epoch","samples","scores":{NETWORK:{"name","value","better"}},"paramsHash","checkpoint"}
step counts committed steps, samples the training images in them, epoch from 0 within its phase. bytes has what the
workers' sockets carried since the step before, all workers together: "down" to them, "up" from them, the same two for
each of "parameters", "contributions" and "control", and in "perWorker" their means. Shards and the trained teacher,
which come over HTTP once, are not in it.
`;

const resumeHelp = `
Takes the newest checkpoint whose every hash verifies, says which, and continues bit for bit. RUN_DIR is the folder that
\`coordinator start\` named, under ./runs by default. The link's token stays the same, so volunteers come back by
themselves where host and port do too. A run that another process drives is left alone.

What does not touch what was trained may change, by --set or in the folder's run.yaml:
  name, epochs (upwards), lease.* but seal, checkpoint.*, trust.* but clip and clipFactor, heartbeatMs, maxWorkers,
  engine, and where the data set and a teacher's file lie: data.root, teacher.file
Everything else is refused by name. The data set is known by its content: any folder with the same files will do, and
BITSWARM_DATA may name it. More epochs train a run longer, one that has ended too. With a constant schedule it ends with
the bits of a run that had as many from the start; else the learning rate is that of the longer schedule from there on.

Examples:
  $ npx coordinator resume runs/fashion-lenet-20250131-154501-3fa9
  $ npx coordinator resume runs/fashion-lenet-20250131-154501-3fa9 --workers 4 --max-steps 500
  $ npx coordinator resume runs/fashion-lenet-20250131-154501-3fa9 --set epochs=9 --set checkpoint.everySteps=20
  $ npx coordinator resume runs/mnist-20250131-154501-3fa9 --set data.root=/mnt/data/mnist
`;

/** Examples with the program as it is found from where the person is. */
function asPasted(help: string): string {
  return help.replaceAll("npx coordinator", commandText("coordinator", []));
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
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
async function chosenToken({ token, tokenFile }: ServeOptions): Promise<string | undefined> {
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

function withServeOptions(command: Command): Command {
  return command
    .option("--workers <n>", "workers to start on this machine; 0 for none", wholeNumber(0, MOST_WORKERS), 2)
    .addOption(new Option("--runtime <runtime>", "what these run on").choices(runtimes).default("auto"))
    .option("--port <n>", "port of the page and the workers; 0 for any free one", wholeNumber(0, 65_535), 8080)
    .option("--host <address>", "address to listen on; 0.0.0.0 for all of this machine's", "127.0.0.1")
    .option(
      "--max-steps <n>",
      "end when N steps are committed, those before a resume included",
      wholeNumber(1, 2 ** 31),
    )
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

async function serve(run: OpenRun, options: ServeOptions, reach: Reach): Promise<void> {
  const json = options.json === true;
  let printed = Promise.resolve();
  const printJson = (line: string) => {
    printed = new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
  };
  const { host, port, workers, runtime, maxSteps } = options;
  const coordination = await coordinate(run, {
    host,
    port,
    workers,
    runtime,
    reach,
    terminal: json ? process.stderr : process.stdout,
    ...(maxSteps === undefined ? {} : { maxSteps }),
    ...(json ? { printJson } : {}),
  });
  let interrupted = false;
  const interrupt = () => {
    // Checkpoints are renamed into place, so ending here leaves the last one whole.
    if (interrupted) process.exit(INTERRUPTED);
    interrupted = true;
    coordination.stop();
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  // A terminal that is closed says so by SIGHUP, once or twice, or only by writes that fail.
  let hungUp = false;
  const hangUp = () => {
    if (!hungUp) process.once("exit", letGoOfTerminal);
    hungUp = true;
    if (!interrupted) interrupt();
  };
  process.on("SIGHUP", hangUp);
  for (const stream of [process.stdout, process.stderr]) if (stream.isTTY) stream.on("error", hangUp);
  await coordination.done;
  await printed;
}

/** What a person should know while they wait; standard output may be a program's. */
function tell(message: string): void {
  process.stderr.write(`${message}\n`);
}

async function start(file: string | undefined, options: StartOptions): Promise<void> {
  const { set = [], seed, full = false, runDir } = options;
  const token = await chosenToken(options);
  const reach = readReach(options);
  const config = await readRunConfig({
    full,
    set,
    ...(file === undefined ? {} : { file }),
    ...(seed === undefined ? {} : { seed }),
  });
  await serve(await openFreshRun(config, runDir, token, tell), options, reach);
}

const program = new Command("coordinator")
  .version(`bitswarm ${packageVersion()}, protocol ${PROTOCOL_VERSION}, Node ${process.versions.node}`)
  // What commander refuses has a code, as all that fails has.
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "error CONFIG_INVALID: ")) })
  .description("Train a 1-bit network on the GPUs of everyone who opens your link.")
  .addHelpText("after", asPasted("\nExample:\n  $ npx coordinator start\n\nMore: coordinator start --help"))
  .showHelpAfterError("(see coordinator --help)");

withServeOptions(
  program
    .command("start")
    .description("start a run, and end when it is trained")
    .argument("[run.yaml]", "configuration of the run; the shipped example where there is none"),
)
  .option("--run-dir <path>", "the run's folder, new or empty; by default ./runs/<name>-<time>-<random>")
  .option("--set <field=value>", "any field of the configuration; may be repeated", collect)
  .option("--seed <n>", "seed of every random draw", wholeNumber(0, 0xffffffff))
  .option("--full", "all images of the data set")
  .addHelpText("after", asPasted(startHelp))
  .showHelpAfterError("(see coordinator start --help)")
  .action(start);

withServeOptions(
  program
    .command("resume")
    .description("go on with a run from its newest checkpoint")
    .argument("<run-dir>", "the run's folder"),
)
  .option("--set <field=value>", "a field that may change, see below; may be repeated", collect)
  .addHelpText("after", asPasted(resumeHelp))
  .showHelpAfterError("(see coordinator resume --help)")
  .action(async (runDir: string, options: ResumeOptions) => {
    const reach = readReach(options);
    const { set = [] } = options;
    const token = await chosenToken(options);
    const opened = await reopenRun(runDir, { onNotice: tell, set, ...(token === undefined ? {} : { token }) });
    await serve(opened, options, reach);
  });

program
  .command("status")
  .description("say how a run is doing")
  .argument(
    "[url|run-dir]",
    "the link that the coordinator printed, in quotes, or the run's folder; the newest run in ./runs unless given",
  )
  .option("--json", "print JSON")
  .action(async (given: string | undefined, { json }: { readonly json?: boolean }) => {
    const target = given ?? (await newestRun());
    const status = await readStatus(target);
    process.stdout.write(`${json ? JSON.stringify(status) : statusText(status, target)}\n`);
  });

program
  .command("export")
  .description("write the 1-bit network of a run's newest checkpoint for inference: packed signs, C and the float rest")
  .argument("<run-dir>", "the run's folder")
  .requiredOption("--out <file>", "the safetensors file to write")
  .action(async (runDir: string, { out }: { readonly out: string }) => {
    const { path, step, fileBytes, sizes, skipped } = await exportModel(runDir, out);
    for (const damaged of skipped) process.stderr.write(`skipped ${damaged.path}: ${damaged.reason}\n`);
    const { binaryBytes, teacherBytes } = sizes;
    const ratio = (teacherBytes / binaryBytes).toFixed(1);
    process.stdout.write(
      `${path}: step ${step}, ${fileBytes} bytes (parameters ${binaryBytes}; ${teacherBytes} in full precision, ${ratio} times as many)\n`,
    );
  });

program
  .command("simulate")
  .description("play a run in virtual time: volunteers that stall, drop, die and lie, every sample counted")
  .argument("[scenario.yaml]", "the world to play; the shipped one where there is none")
  .option("--seed <n>", "of everything that is drawn; the scenario's own by default", wholeNumber(0, 0xffffffff))
  .option("--seeds <n>", "play so many seeds, from that one on", wholeNumber(1, 1_000_000), 1)
  .option("--volunteers <n>", "how many there are", wholeNumber(1, 100_000))
  .option("--steps <n>", "how many are committed", wholeNumber(1, 1_000_000))
  .option("--set <field=value>", "any field of the scenario; may be repeated", collect)
  .option("--varied", "a small world drawn from each seed, instead of a file")
  .option("--json", "print one line of JSON a seed")
  .addHelpText("after", asPasted(simulateHelp))
  .showHelpAfterError("(see coordinator simulate --help)")
  .action(async (file: string | undefined, options: SimulateOptions) => {
    const ok = await simulateCommand(file, options, (line) => process.stdout.write(`${line}\n`));
    if (!ok) process.exitCode = 1;
  });

// Whoever reads the output may go first; that is no reason to lose the run.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
for (const line of unknownVariables(process.env)) tell(line);
await program.parseAsync();
process.exit(process.exitCode ?? 0);

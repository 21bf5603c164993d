// The program `coordinator`: starts a run, goes on with one, says how one is doing, exports what it trained, and looks
// into stores.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Command } from "commander";
import { unknownVariables } from "../../shared/base/environment.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { helpText, LEAST_DESCRIPTION, MOST_COLUMNS } from "../../shared/base/help-text.ts";
import { wrapped } from "../../shared/base/terminal-text.ts";
import { isBucket } from "../../shared/data/data-kinds.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { objectives } from "../../shared/model/objectives/objectives.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/protocol.ts";
import { commandText, programName } from "../base/command-text.ts";
import { packageVersion } from "../base/package-root.ts";
import { newestCheckpointStep } from "../checkpoint/checkpoint.ts";
import { readCommitLog } from "../checkpoint/commit-log.ts";
import type { NatsOptions } from "../engine/nats/plugin.ts";
import { standsByAgain } from "../engine/nats/stands-by-again.ts";
import { requireEngine } from "../run/engines.ts";
import { fetchRun } from "../run/fetch-run.ts";
import { type OpenRun, openFreshRun, reopenRun } from "../run/open-run.ts";
import { readRunConfig } from "../run/run-config.ts";
import { type AllTokens, isRunDirectory, keepTokens, openRunDirectory, tokensAt } from "../run/run-directory.ts";
import { isWorthTelling, runWork } from "../run/run-needs.ts";
import { shippedRuns } from "../run/shipped-runs.ts";
import { type Reach, readReach } from "../server/reach.ts";
import { type SimulateOptions, simulateCommand, simulateHelp } from "../simulate/simulate-command.ts";
import {
  agreedTokens,
  askAbout,
  type ClusterOptions,
  natsOptionsOf,
  withClusterKeys,
  withClusterOptions,
} from "./cluster-options.ts";
import { addCompareCommand } from "./compare-command.ts";
import { coordinate } from "./coordinate.ts";
import { addDashboardCommand } from "./dashboard-command.ts";
import { addEvaluateCommand } from "./evaluate-command.ts";
import { addExportCommand } from "./export-command.ts";
import { addGatewayCommand } from "./gateway-command.ts";
import { addImportCommand } from "./import-command.ts";
import { downlinkLine, needsLines } from "./needs-text.ts";
import { paintedBlock, painter } from "./paint.ts";
import { addPredictCommand } from "./predict-command.ts";
import { type Door, readDoor } from "./serve-door.ts";
import {
  chosenToken,
  collect,
  onStop,
  type ServeOptions,
  stopSignal,
  wholeNumber,
  withServeOptions,
} from "./serve-options.ts";
import { newestRun, readStatus, statusText } from "./status-command.ts";
import { addStoreCommands } from "./store-commands.ts";
import { addTrackCommand } from "./track-command.ts";
import { watchStatus } from "./watch-status.ts";

interface RunOptions extends ServeOptions {
  readonly maxSteps?: number;
  readonly linger?: boolean;
}

interface StartOptions extends RunOptions, ClusterOptions {
  readonly runDir?: string;
  readonly set?: readonly string[];
  readonly seed?: number;
  readonly full?: boolean;
  readonly days?: number;
}

interface StatusOptions {
  readonly watch?: boolean;
  readonly json?: boolean;
}

interface ResumeOptions extends RunOptions {
  readonly set?: readonly string[];
  readonly runDir?: string;
}

/** Ten years. */
const MOST_DAYS = 3650;

const startHelp = `
Without run.yaml the shipped example is trained: a 1-bit LeNet-5 on a part of Fashion-MNIST, a few minutes on two cores.
These come with the program, and are found by their names from any folder that has no such file of its own:
SHIPPED
Every field that run.yaml may have, with its default, stands in the run.yaml that a run writes into its folder.

Examples:
  $ npx coordinator start
      the example, with two workers on this machine
  $ npx coordinator start run.yaml --workers 0 --host 0.0.0.0 --port 9000
      a run of your own, for volunteers alone
  $ npx coordinator start run.yaml --lan
      for a class room: everybody in this machine's network may come, over https; what to do is printed and on the slide
  $ npx coordinator start --public-url https://example.org/bitswarm/ --behind-proxy
      behind a TLS proxy on this machine; deploy/proxy.md of the checkout has the proxy's side
  $ npx coordinator start imagenet-resnet18.yaml --set data.store=STORE --set teacher.file=resnet18.safetensors
      ImageNet from a store of \`import\`, with a teacher that nobody has to train
  $ npx coordinator start --full --set epochs=10 --set checkpoint.everySteps=50
      the example on all images, longer
  $ npx coordinator start --set method.kind=xnor
      XNOR-Net in place of RBCN; shared/model/methods/README.md has every method and its options:
METHODS
  $ npx coordinator start --set method.kind=ttq --set objective.kind=apprentice
      a ternary network with a teacher; any method goes with any objective of shared/model/objectives/README.md:
OBJECTIVES
  $ npx coordinator start --set model.kind=wrn --set data.kind=cifar-10 --set data.root=FOLDER
      a WRN-22 on CIFAR-10's binary files; models are lenet, resnet, wrn and siamfc
  $ npx coordinator start run.yaml --engine nats://n1,n2,n3 --id c-0
      with other coordinators, over NATS: one leads, the others stand by; the same command goes on after a crash
  $ npx coordinator start --max-steps 20 --json > steps.ndjson
      twenty steps, then an evaluation and the end

Ctrl-C once finishes the step in hand, writes a checkpoint, says how to go on, and exits with 0; so do SIGTERM and a
terminal that is closed (SIGHUP). A reader of a pipe that goes away ends nothing.
Ctrl-C twice ends at once with 130; the checkpoint before is whole. After a power cut, too: \`resume\`.

--json prints one line a step, one an evaluation and one at the end, all else goes to standard error:
  {"event":"step","step","epoch","loss":{…},"samples","workers","paramsHash",
   "bytes":{…},"loopDelayMs":{"max","p99"}}
  {"event":"evaluation","step","network",
   "score":{"name","value","better","others"?:[…]}}
  {"event":"done","step","epoch","samples","scores":{NETWORK:
   {"name","value","better","others"?:[…]}},"paramsHash","checkpoint"}
step counts committed steps, samples the training images in them, epoch from 0 within its phase. bytes has what the
workers' sockets carried since the step before, all workers together: "down" to them, "up" from them, the same two for
each of "parameters", "contributions" and "control", and in "perWorker" their means. Shards and the trained teacher,
which come over HTTP once, are not in it.
`;

const standbyHelp = `
A standby has a copy of the run: it applies each step that is committed, and compares the parameters. Where whoever
leads is silent for 2.5 s it leads, from the step that was committed last, with the same bits. It never begins a run;
\`start --engine\` does, or stands by where one leads. The data set must lie where the run's configuration has it.

Examples:
  $ npx coordinator start run.yaml --engine nats://n1,n2,n3 --id c-0
  $ npx coordinator standby nats://n1,n2,n3 --run my-run --id c-1 --workers 0
`;

const resumeHelp = `
Takes the newest checkpoint whose every hash verifies, says which, and continues bit for bit. RUN_DIR is the folder that
\`start\` named, under ./runs by default. The link's token stays the same, so volunteers come back by
themselves where host and port do too. A run that another process drives is left alone.

What does not touch what was trained may change, by --set or in the folder's run.yaml:
  name, epochs (upwards), lease.* but seal, checkpoint.*, trust.* but clip and clipFactor, heartbeatMs, maxWorkers,
  engine, and where the data set and a teacher's file lie: data.root, data.store, teacher.file
Everything else is refused by name. The data set is known by its content: any folder with the same files will do, and
BITSWARM_DATA may name it. More epochs train a run longer, one that has ended too. With a constant schedule it ends with
the bits of a run that had as many from the start; else the learning rate is that of the longer schedule from there on.

Examples:
  $ npx coordinator resume runs/fashion-lenet-20250131-154501-3fa9
  $ npx coordinator resume runs/fashion-lenet-20250131-154501-3fa9 --workers 4 --max-steps 500
  $ npx coordinator resume runs/fashion-lenet-20250131-154501-3fa9 --set epochs=9 --set checkpoint.everySteps=20
  $ npx coordinator resume runs/mnist-20250131-154501-3fa9 --set data.root=/mnt/data/mnist
  $ npx coordinator resume s3://bucket/run-7 --set data.root=/mnt/data/mnist
      on another machine: what checkpoint.bucket of the run named has copies of its checkpoints; give --token, too, where
      the link must stay the same
`;

/** The run files that come with the program, a line each. */
function shippedText(): string {
  const runs = shippedRuns();
  const wide = Math.max(...runs.map(({ file }) => file.length));
  return runs.map(({ file, about }) => `  ${file.padEnd(wide)}  ${about}`).join("\n");
}

/** Kinds of a table, in lines of a terminal's width. */
function kindsText(kinds: readonly string[]): string {
  const indent = "      ";
  const lines = [indent];
  kinds.forEach((kind, i) => {
    const word = i === kinds.length - 1 ? kind : `${kind}, `;
    if (lines[lines.length - 1].length + word.trimEnd().length > MOST_COLUMNS) lines.push(indent);
    lines[lines.length - 1] += word;
  });
  return lines.map((line) => line.trimEnd()).join("\n");
}

function startText(): string {
  return startHelp
    .replace("SHIPPED", shippedText())
    .replace("METHODS", kindsText(methods.kinds))
    .replace("OBJECTIVES", kindsText(objectives.kinds));
}

/** Serves a run to its end; where another coordinator takes it over, as one that stands by. */
async function serve(run: OpenRun, options: RunOptions, reach: Reach, door: Door): Promise<void> {
  const stopping = stopSignal();
  for (let next = run; ; ) {
    try {
      await serveOnce(next, options, reach, door, stopping);
      return;
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      // Others finished it.
      if (error.code === "RUN_ENDED") return tell(error.message);
      if (!standsByAgain(error) || stopping.aborted) throw error;
      tell(`${error.code}: ${error.message}`);
      const { path, token, operatorToken, dashboardToken } = next.directory;
      const again = await reopenRun(path, { onNotice: tell, token });
      next = await withTokens(again, { token, operatorToken, dashboardToken });
    }
  }
}

async function serveOnce(
  run: OpenRun,
  options: RunOptions,
  reach: Reach,
  door: Door,
  stopping: AbortSignal,
): Promise<void> {
  const json = options.json === true;
  let printed = Promise.resolve();
  const printJson = (line: string) => {
    printed = new Promise((resolve) => process.stdout.write(`${line}\n`, () => resolve()));
  };
  const { port, workers, runtime, maxSteps, linger = false } = options;
  for (const note of door.notes) tell(note);
  const coordination = await untilStopped(stopping, () =>
    coordinate(run, {
      host: door.host,
      ...(door.tls === undefined ? {} : { tls: door.tls }),
      port,
      workers,
      runtime,
      reach,
      linger,
      terminal: json ? process.stderr : process.stdout,
      ...(maxSteps === undefined ? {} : { maxSteps }),
      ...(json ? { printJson } : {}),
    }),
  );
  onStop(stopping, () => coordination.stop());
  await coordination.done;
  await printed;
}

/** Who waits for others to lead has nothing to finish when it is stopped. */
async function untilStopped<T>(stopping: AbortSignal, begin: () => Promise<T>): Promise<T> {
  const leave = () => process.exit(0);
  stopping.addEventListener("abort", leave);
  return begin().finally(() => stopping.removeEventListener("abort", leave));
}

/** What a person should know while they wait; standard output may be a program's. */
function tell(message: string): void {
  const { stderr } = process;
  const lines = stderr.isTTY ? wrapped(message, stderr.columns - 1) : [message];
  for (const line of lines) stderr.write(`${line}\n`);
}

async function start(file: string | undefined, options: StartOptions): Promise<void> {
  const { set = [], seed, full = false, runDir, days } = options;
  const token = await chosenToken(options);
  const reach = readReach(options);
  const door = await readDoor(options, reach);
  const config = await readRunConfig({
    full,
    set,
    ...(file === undefined ? {} : { file }),
    ...(seed === undefined ? {} : { seed }),
  });
  const engine = natsOptionsOf(options, config.name, false);
  if (engine) {
    await serveShared({ engine, runDir, token, config }, options, reach, door);
    return;
  }
  const run = await openFreshRun(config, runDir, token, tell);
  const work = runWork(run.state);
  tell(downlinkLine(run.state));
  if (days !== undefined || isWorthTelling(work)) for (const line of needsLines(work, days)) tell(line);
  await serve(run, options, reach, door);
}

/** Whether a folder has a run to go on with; one that was stopped before it had anything is taken away. */
async function isBegun(folder: string): Promise<boolean> {
  if (!(await isRunDirectory(folder))) return false;
  if ((await newestCheckpointStep(folder)) !== null || (await readCommitLog(folder)).length > 0) return true;
  const { claim } = await openRunDirectory(folder, undefined, tell);
  await claim.release();
  await rm(folder, { recursive: true, force: true });
  return false;
}

interface SharedRun {
  readonly engine: NatsOptions;
  /** The run's folder here; named after the run unless given. */
  readonly runDir: string | undefined;
  readonly token: string | undefined;
  /** Where nobody leads; whoever never begins a run has none. */
  readonly config?: RunConfig;
}

/**
 * A run that several coordinators drive, as this one's folder has it, or fresh: the same command begins, joins and
 * goes on.
 */
async function openShared({ engine, runDir, token, config }: SharedRun): Promise<OpenRun> {
  // Before anybody is asked, or anything is made.
  if (config) requireEngine({ ...config, engine });
  const folder = runDir ?? join("runs", `${engine.run}-${engine.id}`);
  const again = await isBegun(folder);
  const told = await askAbout(engine, tell, config === undefined && !again);
  const given = token === undefined ? {} : { token };
  const tokens = told ? { ...told.tokens, ...given } : await agreedTokens(engine, await tokensAt(folder), given, tell);
  if (again) {
    const set = [`engine=${JSON.stringify(engine)}`];
    return withTokens(await reopenRun(folder, { onNotice: tell, set }), tokens);
  }
  const wanted = told?.config ?? config;
  if (!wanted) throw new RangeError("a run that nobody has begun is begun without a configuration");
  // The data lies where this machine has it.
  const data = config ? config.data : wanted.data;
  return withTokens(await openFreshRun({ ...wanted, data, engine }, folder, undefined, tell), tokens);
}

async function serveShared(shared: SharedRun, options: RunOptions, reach: Reach, door: Door): Promise<void> {
  const run = await openShared(shared).catch((error) => {
    if (!(error instanceof BitswarmError && error.code === "RUN_ENDED")) throw error;
    tell(error.message);
    return undefined;
  });
  if (run) await serve(run, options, reach, door);
}

/** With these in place of its own: a link and an operator's word are good at every coordinator of a run. */
async function withTokens(run: OpenRun, tokens: Partial<AllTokens>): Promise<OpenRun> {
  const directory = { ...run.directory, ...tokens };
  await keepTokens(directory);
  return { ...run, directory };
}

/** Examples with the program as it is found from where the person is. */
function asPasted(help: string): string {
  const { columns = MOST_COLUMNS + 1 } = process.stdout;
  return helpText(help.replaceAll("npx coordinator", commandText("coordinator", [])), columns - 1);
}

function withRunOptions(command: Command): Command {
  return withServeOptions(command)
    .option(
      "--max-steps <n>",
      "end when N steps are committed, those before a resume included",
      wholeNumber(1, 2 ** 31),
    )
    .option("--linger", "go on serving pages when the run is over, until Ctrl-C: what was trained is tried at /demo");
}

const name = programName();
const program = new Command(name)
  .version(`bitswarm ${packageVersion()}, protocol ${PROTOCOL_VERSION}, Node ${process.versions.node}`)
  // Commander's own least is 40, half of a window.
  .configureHelp({ minWidthToWrap: LEAST_DESCRIPTION })
  // What commander refuses has a code, as all that fails has.
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "error CONFIG_INVALID: ")) })
  .description("Train a network of one or few bits on the GPUs of everyone who opens your link.")
  .addHelpText("after", asPasted("\nExample:\n  $ npx coordinator start\n\nMore: npx coordinator start --help"))
  .showHelpAfterError(`(see ${name} --help)`);

withClusterOptions(
  withRunOptions(
    program
      .command("start")
      .description("start a run, and end when it is trained")
      .argument(
        "[run.yaml]",
        "configuration of the run, or the name of a shipped one; the shipped example where there is none",
      ),
  ),
)
  .option("--run-dir <path>", "the run's folder, new or empty; by default ./runs/<name>-<time>-<random>")
  .option("--set <field=value>", "any field of the configuration; may be repeated", collect)
  .option("--seed <n>", "seed of every random draw", wholeNumber(0, 0xffffffff))
  .option("--full", "all images of the data set")
  .option("--days <n>", "say what the run needs to be done in N days", wholeNumber(1, MOST_DAYS))
  .addHelpText("after", asPasted(startText()))
  .action(start);

withRunOptions(
  program
    .command("resume")
    .description("go on with a run from its newest checkpoint")
    .argument("<run-dir>", "the run's folder, or s3://BUCKET/PREFIX with copies of its checkpoints"),
)
  .option("--run-dir <path>", "where a run from a bucket goes on, new or empty; by default ./runs/<its name>")
  .option("--set <field=value>", "a field that may change, see below; may be repeated", collect)
  .addHelpText("after", asPasted(resumeHelp))
  .action(async (runDir: string, options: ResumeOptions) => {
    const reach = readReach(options);
    const door = await readDoor(options, reach);
    const { set = [] } = options;
    const token = await chosenToken(options);
    const folder = isBucket(runDir) ? await fetchRun(runDir, { ...options, onNotice: tell }) : runDir;
    const opened = await reopenRun(folder, { onNotice: tell, set, ...(token === undefined ? {} : { token }) });
    await serve(opened, options, reach, door);
  });

withClusterKeys(
  withRunOptions(
    program
      .command("standby")
      .description("follow a run that other coordinators drive, and lead it where they are gone")
      .argument("<servers>", "NATS: nats://host:port, and others with commas between"),
  ),
)
  .option("--run-dir <path>", "the run's folder on this machine; by default ./runs/<run>-<id>")
  .addHelpText("after", asPasted(standbyHelp))
  .action(async (servers: string, options: StartOptions) => {
    const token = await chosenToken(options);
    const reach = readReach(options);
    const door = await readDoor(options, reach);
    if (options.run === undefined) throw new BitswarmError("CONFIG_INVALID", "--run is due: which run to stand by for");
    const engine = natsOptionsOf({ ...options, engine: servers }, options.run, true);
    if (!engine) return;
    await serveShared({ engine, runDir: options.runDir, token }, options, reach, door);
  });

program
  .command("status")
  .description("say how a run is doing")
  .argument(
    "[url|run-dir]",
    "the link that the coordinator printed, in quotes, or the run's folder; the newest run in ./runs unless given",
  )
  .option("--watch", "go on until the run has come to its end; Ctrl-C ends it before")
  .option("--json", "print JSON; with --watch a line each time that something changed")
  .action(async (given: string | undefined, { json = false, watch = false }: StatusOptions) => {
    const target = given ?? (await newestRun());
    const { stdout } = process;
    if (watch) {
      // Ctrl-C ends a program that does not listen for it; a reader who goes away ends this one, too.
      const gone = new AbortController();
      stdout.once("error", () => gone.abort());
      const { signal } = gone;
      const pause = (ms: number) => setTimeout(ms, undefined, { signal }).catch(() => undefined);
      await watchStatus({ target, json, stream: stdout, now: () => performance.now(), pause, signal });
      return;
    }
    const status = await readStatus(target);
    const shown = () => paintedBlock(statusText(status, target).split("\n"), painter(stdout)).join("\n");
    stdout.write(`${json ? JSON.stringify(status) : shown()}\n`);
  });

program
  .command("simulate")
  .description("play a run in virtual time: volunteers that stall, drop, die and lie, every sample counted")
  .argument("[scenario.yaml]", "the world to play; the shipped one where there is none")
  .option("--seed <n>", "of everything that is drawn; the scenario's own by default", wholeNumber(0, 0xffffffff))
  .option("--seeds <n>", "play so many seeds, from that one on", wholeNumber(1, 1_000_000), 1)
  .option("--volunteers <n>", "how many there are", wholeNumber(1, 100_000))
  .option("--gateways <n>", "between them and a leader; none unless given", wholeNumber(0, 1000))
  .option("--whole <n>", "one gateway in so many runs whole, the others with one for a hundred", wholeNumber(1, 1000))
  .option("--standbys <n>", "coordinators that follow the leader of the gateways", wholeNumber(0, 4))
  .option("--steps <n>", "how many are committed", wholeNumber(1, 1_000_000))
  .option("--set <field=value>", "any field of the scenario; may be repeated", collect)
  .option("--varied", "a small world drawn from each seed, instead of a file")
  .option("--json", "print one line of JSON a seed")
  .addHelpText("after", asPasted(simulateHelp))
  .action(async (file: string | undefined, options: SimulateOptions) => {
    const to = (stream: NodeJS.WriteStream) => (line: string) => void stream.write(`${line}\n`);
    const ok = await simulateCommand(file, options, to(process.stdout), to(process.stderr));
    if (!ok) process.exitCode = 1;
  });

addExportCommand(program, { wholeNumber, asPasted, tell });
addPredictCommand(program, { wholeNumber, asPasted, tell });
addEvaluateCommand(program, { wholeNumber, asPasted, tell });
addTrackCommand(program, { wholeNumber, asPasted, tell });
addGatewayCommand(program, { wholeNumber, asPasted, tell });
addDashboardCommand(program, { wholeNumber, asPasted, tell });
addCompareCommand(program, { wholeNumber, asPasted, tell });
addImportCommand(program, { wholeNumber, asPasted, tell });
addStoreCommands(program, { wholeNumber, asPasted, tell });
if (name === "bitswarm") {
  // bitswarm.ts hands them to the worker's program and to the set-up; here they are only listed.
  program.command("join [url]").description("lend this machine's GPU to the run behind a link");
  program.command("doctor [url]").description("say what keeps a worker from working here, or from reaching a run");
  program.command("setup").description("find what this machine lacks, and install it or say how");
}
for (const command of program.commands) command.showHelpAfterError(`(see ${name} ${command.name()} --help)`);

// Whoever reads the output may go first; that is no reason to lose the run.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
for (const line of unknownVariables(process.env)) tell(line);
await program.parseAsync();
process.exit(process.exitCode ?? 0);

// `bitswarm compare`: a plan's runs one after the other, told as they go, and a table at the end.

import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { commandText } from "../base/command-text.ts";
import { readPlan } from "../compare/plan.ts";
import { REPORTS } from "../compare/reports.ts";
import { shippedPlans } from "../run/shipped-runs.ts";
import { readReach } from "../server/reach.ts";
import { classRoomLines } from "./class-room-text.ts";
import type { CommandTools } from "./command-tools.ts";
import { type Compared, compare } from "./compare.ts";
import { cellLine, comparisonLines } from "./compare-text.ts";
import { dashboardLines, linkLines } from "./run-text.ts";
import { readDoor } from "./serve-door.ts";
import { chosenToken, onStop, type ServeOptions, stopSignal, withServeOptions } from "./serve-options.ts";

interface CompareFlags extends ServeOptions {
  readonly out?: string;
  readonly force?: boolean;
}

const compareHelp = `
A plan is a grid, and each of its cells is a run: every method with every seed at every rate.
  name: my-comparison
  base: example.yaml            # a run's configuration, here or in a file of its own
  teacher: { epochs: 4 }        # laid over base: a full-precision run, once, for all methods that want a teacher
  methods:
    - { name: R+G, set: { method.kind: rbcn, method.ablation: R+G } }
    - { name: XNOR-Net, set: { method.kind: xnor }, rates: [0.01, 0.1] }
  seeds: [0, 1, 2]
  rates: [0.01, 0.03, 0.1]      # of optimizer.learningRate, for methods without their own; base's alone unless given
  reference: R+G                # the others are compared with it, seed by seed; the first method unless given
  bitsAFloat: 64                # 1-bit multiplications that count as one of floats; 1 counts each
Gradients of methods differ by orders of magnitude: give each the same rates, or let W step by optimizer.latent.kind=adam.
These plans come with the program:
PLANS

The runs stand at one link, one after the other. Local workers and volunteers, tabs and processes alike, are sent away
at the end of a run and come back to the next by themselves.

--out has cells/NAME, an ordinary run's folder each, and the reports, which are written anew after each cell:
  ${REPORTS.json}  everything: methods, rates, intervals, differences, phases, bytes, each cell
  ${REPORTS.csv}   a line a cell
  ${REPORTS.page}  a page in one file: table, curves, passes, bytes, scores against compute
Ctrl-C once finishes the step in hand; after that, a kill or a power cut the same command goes on with the run in hand,
then with the first cell that is missing. What is done is never run again. New methods, seeds and rates are added; a
cell that the plan now describes otherwise is refused by name, or with --force set aside and made anew.
A cell whose numbers are lost has diverged, which is an outcome of its rate.

--json prints a line a cell, {"event":"cell","cell","outcome","score","seconds"}, and at the end
{"event":"done","path","cells","done"}.

Examples:
  $ npx coordinator compare fashion-methods.plan.yaml
  $ npx coordinator compare plan.yaml --out results --workers 0 --host 0.0.0.0 --port 9000
`;

/** Plans that come with the program, a line each. */
function plansText(): string {
  const plans = shippedPlans();
  const wide = Math.max(...plans.map(({ file }) => file.length));
  return plans.map(({ file, about }) => `  ${file.padEnd(wide)}  ${about}`).join("\n");
}

/** Where the reports of a plan are by default: the same for each start of it. */
function usualOut(name: string): string {
  return join("runs", `compare-${name.replace(/[^\w.-]+/g, "-").replace(/^[.-]+/, "") || "plan"}`);
}

async function compareCommand(file: string, flags: CompareFlags, tell: (line: string) => void): Promise<void> {
  const token = await chosenToken(flags);
  const reach = readReach(flags);
  const door = await readDoor(flags, reach);
  const plan = await readPlan(file);
  const json = flags.json === true;
  const terminal = json ? process.stderr : process.stdout;
  const line = (text: string) => void terminal.write(`${text}\n`);
  const print = (value: object) => json && process.stdout.write(`${JSON.stringify(value)}\n`);
  const { port, workers, runtime, force = false } = flags;
  const { host, tls } = door;
  for (const note of door.notes) tell(note);
  const out = flags.out ?? usualOut(plan.name);
  const stopping = stopSignal();
  const comparing = await compare({
    plan,
    out,
    force,
    host,
    ...(tls === undefined ? {} : { tls }),
    port,
    workers,
    runtime,
    reach,
    terminal,
    tell,
    now: systemClock.now,
    ...(token === undefined ? {} : { token }),
    onLink: (server, tokens) => {
      const { url } = server;
      const shownHost = reach.publicUrl?.hostname ?? host;
      for (const text of linkLines(`comparison ${plan.name}`, out, url, shownHost, workers, terminal.columns))
        line(text);
      const { authority } = tls?.identity ?? {};
      for (const text of dashboardLines(server, tokens, authority !== undefined)) line(text);
      if (tls) for (const text of classRoomLines(server, tokens.token, authority, terminal)) line(text);
    },
    onCell: (result, place) => {
      line(cellLine(result, place));
      const { cell, outcome, score, seconds } = result;
      print({ event: "cell", cell, outcome, score: score?.value ?? null, seconds });
    },
  });
  onStop(stopping, () => comparing.stop());
  const compared = await comparing.done;
  for (const text of endLines(compared, file, terminal.columns)) line(text);
  const { path, comparison } = compared;
  print({ event: "done", path, cells: comparison.cells, done: comparison.done });
}

function endLines({ path, comparison, complete }: Compared, file: string, columns?: number): string[] {
  return [
    "",
    ...comparisonLines(comparison, columns),
    "",
    `  page:   ${join(path, REPORTS.page)}`,
    ...(complete ? [] : [`  go on:  ${commandText("coordinator", ["compare", file, "--out", path])}`]),
  ];
}

export function addCompareCommand(program: Command, { asPasted, tell }: CommandTools): void {
  withServeOptions(
    program
      .command("compare")
      .description("train methods side by side on one plan, and say what each got for what it cost")
      .argument("<plan.yaml>", "the plan, or the name of a shipped one"),
  )
    .option("--out <folder>", "of the runs and reports; by default runs/compare-<name>")
    .option("--force", "set runs aside that the plan now describes otherwise, and make them anew")
    .addHelpText("after", asPasted(compareHelp.replace("PLANS", plansText())))
    .action((file: string, flags: CompareFlags) => compareCommand(file, flags, tell));
}

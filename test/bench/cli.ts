#!/usr/bin/env node
// `npm run bench -- NAME [words…]`, of kernels, step, passes, compile, track, peers, robustness, downlink, allreduce,
// codecs, sockets, bulk, data, dashboard, inference, visits, page: how fast kernels, a step, other libraries, the
// downlink, the reduction, the data and the dashboard's feed are here, how soon a volunteer computes, and what the
// page costs.

import { Command, InvalidArgumentError, Option } from "commander";
import { BitswarmError, failureText } from "../../shared/base/errors.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { benchAllreduce } from "./allreduce.ts";
import { type AttackersOptions, attackersText, attackNames, benchAttackers } from "./attackers.ts";
import { type BulkOptions, benchBulk, bulkText } from "./bulk.ts";
import { benchCodecs } from "./codecs.ts";
import { benchDashboard, type DashboardOptions } from "./dashboard.ts";
import { benchData, dataParts } from "./data.ts";
import { benchDownlink, downlinkText } from "./downlink.ts";
import { benchEventLoop } from "./event-loop.ts";
import { benchInference, type InferenceOptions } from "./inference.ts";
import type { Emit } from "./line.ts";
import { benchInNode } from "./node.ts";
import { type BenchmarkRequest, benchmarks, type Runtime, requestSchema, requireSome, runtimes } from "./request.ts";
import { benchRobustness } from "./robustness.ts";
import { benchRobustnessInNode } from "./robustness-in-process.ts";
import { benchInBrowser, benchInDeno } from "./runtimes.ts";
import { benchSockets, socketsText } from "./sockets.ts";
import { lineText } from "./table.ts";
import { trackNames } from "./track.ts";
import { benchVisits, type VisitsOptions } from "./visits.ts";
import { benchPage, type PageOptions } from "./volunteer-page.ts";

interface Options {
  readonly json?: boolean;
  readonly runtime: Runtime;
  readonly rounds: number;
  readonly atLeast: number;
  readonly tune: boolean;
  readonly imagenet?: boolean;
  readonly launches?: boolean;
  readonly method?: string;
}

const summaries: Readonly<Record<(typeof benchmarks)[number], string>> = {
  kernels: "every tiling of the convolutions against the adapter's roofs, and the kernels beside them",
  step: "whole microbatches: milliseconds, GPU time by class, host time, memory, compilation",
  passes: "the forward of a layer by its passes over bit planes, against the 1-bit and the float convolution, in turns",
  compile: "what each kernel of a step costs before it runs, convolutions by every tiling",
  track:
    "a tracker of SiamFC's widths that follows, in floats and of few bits: frames a second, shares; pairs a second",
  peers: "one binary layer and two networks against tfjs-webgpu and jax-js, in one Chromium, in turns",
};

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("it must be a whole number from 1 on.");
  return value;
}

function printer(json: boolean | undefined): Emit {
  return async (line) => console.log(json ? JSON.stringify(line) : lineText(line));
}

function runIn(runtime: Runtime): (request: BenchmarkRequest, emit: Emit) => Promise<void> {
  switch (runtime) {
    case "browser":
      return benchInBrowser;
    case "deno":
      return benchInDeno;
    case "node":
      return benchInNode;
    default:
      return runtime satisfies never;
  }
}

function request(benchmark: BenchmarkRequest["benchmark"], words: readonly string[], o: Options): BenchmarkRequest {
  const { rounds, atLeast: atLeastMs, tune, imagenet = false, launches = false, method } = o;
  return requestSchema.parse({ benchmark, filter: words, rounds, atLeastMs, tune, imagenet, launches, method });
}

function withOptions(command: Command): Command {
  return command
    .argument("[words...]", "only cases whose name has all of these words")
    .option("--json", "one JSON object a line")
    .addOption(new Option("--rounds <n>", "measurements of each case").argParser(count).default(4))
    .addOption(new Option("--at-least <ms>", "shortest measurement, in milliseconds").argParser(count).default(100))
    .option("--no-tune", "run steps with the first tilings instead of measuring them all for the fastest")
    .option("--imagenet", "also ResNet-18 64-128-256-512 at 224×224 (slow on software adapters)");
}

const program = new Command("bench")
  .description("Measures kernels, steps and peers on this machine's adapter. Everything timed is timed in the runtime.")
  .addHelpText("after", "\nExample: npm run bench -- kernels --runtime node cifar binary forward");

for (const benchmark of benchmarks) {
  const command = withOptions(program.command(benchmark).description(summaries[benchmark]));
  if (benchmark !== "peers") {
    command.addOption(
      new Option("--runtime <runtime>", "where to run")
        .choices(runtimes)
        .default(benchmark === "track" ? "deno" : "browser"),
    );
  }
  if (benchmark === "step") {
    command.option("--launches", "also each launch alone, in order: class, milliseconds, bytes");
    command.addOption(
      new Option(
        "--method <name>",
        "steps of this method against full precision and RBCN, in turns; passes of layers",
      ).choices(methods.kinds),
    );
  }
  command.action(async (words: string[], options: Options) => {
    const wanted = request(benchmark, words, options);
    if (benchmark === "track") requireSome(wanted, trackNames());
    await runIn(options.runtime ?? "browser")(wanted, printer(options.json));
  });
}

withOptions(
  program.command("robustness").description("kernels and steps in Chromium with and without Dawn's bounds checks"),
)
  .addOption(
    new Option("--runtime <runtime>", "whole browsers in turns, or two devices of this process")
      .choices(["browser", "node"])
      .default("browser"),
  )
  .action(async (words: string[], options: Options) => {
    const bench = options.runtime === "node" ? benchRobustnessInNode : benchRobustness;
    await bench(request("kernels", words, options), printer(options.json));
  });

program
  .command("downlink")
  .description("bytes of a step of ResNet-18 at ImageNet's widths, down and up, against fp32; no adapter takes part")
  .option("--json", "one JSON object a line")
  .action(({ json }: { readonly json?: boolean }) =>
    benchDownlink((line) => console.log(json ? JSON.stringify(line) : downlinkText(line))),
  );

program
  .command("attackers")
  .description(
    "the shipped example, small, with one worker in ten that attacks: accuracy beside the clean run; one alone, and beside hoarders: steps a minute",
  )
  .argument("[attacks...]", `of ${attackNames.join(", ")}; all unless named`)
  .option("--json", "one JSON object a line")
  .option("--no-trust", "without clipping and audits")
  .addOption(new Option("--codec <codec>", "of gradients").choices(["exact", "f32", "sign"]).default("exact"))
  .addOption(
    new Option("--clip <mode>", "trust.clip; the last two want codec f32")
      .choices(["auto", "none", "norm", "centered-clip", "trimmed-mean"])
      .default("auto"),
  )
  .addOption(new Option("--images <n>", "training images; half as many for testing").argParser(count).default(2000))
  .addOption(new Option("--workers <n>", "accounts; unless given ten for each attacker").argParser(count))
  .addOption(new Option("--seed <n>", "of the run").argParser(Number).default(0))
  .action((attacks: string[], o: Omit<AttackersOptions, "attacks"> & { json?: boolean }) =>
    benchAttackers({ ...o, attacks: attacks.length > 0 ? attacks : attackNames }, (line) =>
      console.log(o.json ? JSON.stringify(line) : attackersText(line)),
    ),
  );

program
  .command("allreduce")
  .description(
    "contributions of ResNet-18 that the coordinator absorbs in a second on one core, by codec; how long they and steps keep its event loop",
  )
  .option("--json", "one JSON object a line")
  .addOption(new Option("--rounds <n>", "rounds of eight contributions of each codec").argParser(count).default(4))
  .addOption(new Option("--steps <n>", "of each run that the event loop is watched in").argParser(count).default(4))
  .action(async ({ rounds, steps, json }: Pick<Options, "rounds" | "json"> & { readonly steps: number }) => {
    await benchEventLoop({ steps, codecs: ["f32", "exact", "sign"] }, printer(json));
    await benchAllreduce({ rounds }, printer(json));
  });

program
  .command("data")
  .description("from a JPEG to what a network sees: images a second and core, beside Pillow where Python has it")
  .argument("[parts...]", `of ${dataParts.join(", ")}; all unless named`)
  .option("--json", "one JSON object a line")
  .addOption(new Option("--rounds <n>", "turns of each").argParser(count).default(15))
  .action(async (named: string[], { rounds, json }: Pick<Options, "rounds" | "json">) =>
    benchData(named.length > 0 ? named : dataParts, { rounds }, printer(json)),
  );

program
  .command("dashboard")
  .description("what it costs the coordinator that pages look on, with so many simulated workers")
  .option("--json", "one JSON object a line")
  .addOption(new Option("--workers <n>", "simulated volunteers").argParser(count).default(1000))
  .addOption(new Option("--viewers <n>", "pages that look on").argParser(count).default(4))
  .addOption(new Option("--steps <n>", "of the run").argParser(count).default(6))
  .action(async ({ json, ...options }: DashboardOptions & { readonly json?: boolean }) =>
    benchDashboard(options, printer(json)),
  );

program
  .command("visits")
  .description(
    "from Start to the first accepted sample and to the full speed, at the first visit and where all is kept",
  )
  .argument("[fields...]", "of the configuration, as `coordinator start --set` takes them, e.g. teacher.epochs=1")
  .option("--json", "one JSON object a line")
  .addOption(new Option("--runtime <runtime>", "of the worker").choices(["browser", "deno"]).default("browser"))
  .addOption(new Option("--rounds <n>", "runs, each with all its visits").argParser(count).default(3))
  .addOption(new Option("--seconds <n>", "of each visit").argParser(count).default(40))
  .action(async (fields: string[], { json, ...options }: Omit<VisitsOptions, "fields"> & { readonly json?: boolean }) =>
    benchVisits({ ...options, fields }, printer(json)),
  );

program
  .command("inference")
  .description(
    "an exported ResNet-18 and its layers of few bits on the CPU in Chromium, beside their twins in floats in onnxruntime-web, in turns",
  )
  .option("--json", "one JSON object a line")
  .addOption(new Option("--method <name>", "of the network").choices(methods.kinds).default("rbcn"))
  .addOption(new Option("--rounds <n>", "turns of each").argParser(count).default(7))
  .action(async ({ json, ...options }: InferenceOptions & Pick<Options, "json">) =>
    benchInference(options, printer(json)),
  );

program
  .command("page")
  .description(
    "the volunteers' page of the shipped example: first paint, script loaded, longest task of its main thread in training",
  )
  .argument("[fields...]", "fields of the configuration, as `coordinator start --set` takes them")
  .option("--json", "one JSON object a line")
  .addOption(new Option("--visits <n>", "first visits, and as many reloads").argParser(count).default(5))
  .addOption(new Option("--seconds <n>", "of training, from its first samples on").argParser(count).default(20))
  .action(async (fields: string[], { json, ...options }: Omit<PageOptions, "fields"> & Pick<Options, "json">) =>
    benchPage({ ...options, fields }, printer(json)),
  );

program
  .command("bulk")
  .description("a sum from one node of a cluster to another: in memory, over NATS, HTTP and HTTPS, in turns")
  .option("--json", "one JSON object a line")
  .addOption(new Option("--mebibytes <n>", "of the sum").argParser(count).default(35))
  .addOption(new Option("--rounds <n>", "turns of each").argParser(count).default(7))
  .action(({ json, ...options }: BulkOptions & Pick<Options, "json">) =>
    benchBulk(options, (line) => console.log(json ? JSON.stringify(line) : bulkText(line))),
  );

program
  .command("codecs")
  .description("the shipped example trained with each codec by real workers: final accuracies; some minutes a codec")
  .argument("[fields...]", "fields of the configuration, as `coordinator start --set` takes them, e.g. epochs=1")
  .option("--json", "one JSON object a line")
  .action(async (fields: string[], { json }: Pick<Options, "json">) => benchCodecs(fields, printer(json)));

program
  .command("sockets")
  .description("the coordinator with many scripted workers on real sockets: steps a second, memory, event loop")
  .option("--json", "one JSON object a line")
  .addOption(new Option("--sockets <n>", "workers").argParser(count).default(1000))
  .addOption(new Option("--seconds <n>", "measured, once all have joined; at most 30").argParser(count).default(15))
  .action(async (o: { json?: boolean; sockets: number; seconds: number }) => {
    const line = await benchSockets({ sockets: o.sockets, seconds: Math.min(30, o.seconds) });
    console.log(o.json ? JSON.stringify(line) : socketsText(line));
  });

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof BitswarmError)) throw error;
  console.error(failureText(error));
  process.exit(1);
}
// Dawn in Node keeps the process alive.
process.exit();

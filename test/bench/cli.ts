#!/usr/bin/env node
// `npm run bench -- kernels|step|peers|robustness|downlink|allreduce|codecs|sockets [words…]`: how fast kernels, a
// step, other libraries, the downlink and the reduction are here.

import { Command, InvalidArgumentError, Option } from "commander";
import { benchAllreduce } from "./allreduce.ts";
import { type AttackersOptions, attackersText, attackNames, benchAttackers } from "./attackers.ts";
import { benchCodecs } from "./codecs.ts";
import { benchDownlink, downlinkText } from "./downlink.ts";
import { benchEventLoop } from "./event-loop.ts";
import type { Emit } from "./line.ts";
import { benchInNode } from "./node.ts";
import { type BenchmarkRequest, benchmarks, type Runtime, requestSchema, runtimes } from "./request.ts";
import { benchRobustness } from "./robustness.ts";
import { benchRobustnessInNode } from "./robustness-in-process.ts";
import { benchInBrowser, benchInDeno } from "./runtimes.ts";
import { benchSockets, socketsText } from "./sockets.ts";
import { lineText } from "./table.ts";

interface Options {
  readonly json?: boolean;
  readonly runtime: Runtime;
  readonly rounds: number;
  readonly atLeast: number;
  readonly tune: boolean;
  readonly imagenet?: boolean;
  readonly launches?: boolean;
}

const summaries: Readonly<Record<(typeof benchmarks)[number], string>> = {
  kernels: "every tiling of the convolutions against the adapter's roofs, and the kernels beside them",
  step: "whole microbatches: milliseconds, GPU time by class, host time, memory, compilation",
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
  const { rounds, atLeast: atLeastMs, tune, imagenet = false, launches = false } = o;
  return requestSchema.parse({ benchmark, filter: words, rounds, atLeastMs, tune, imagenet, launches });
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
    command.addOption(new Option("--runtime <runtime>", "where to run").choices(runtimes).default("browser"));
  }
  if (benchmark === "step")
    command.option("--launches", "also each launch alone, in order: class, milliseconds, bytes");
  command.action(async (words: string[], options: Options) => {
    await runIn(options.runtime ?? "browser")(request(benchmark, words, options), printer(options.json));
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

await program.parseAsync();
// Dawn in Node keeps the process alive.
process.exit();

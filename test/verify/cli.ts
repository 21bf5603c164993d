#!/usr/bin/env node
// `npm run verify -- DIR`: every oracle case in a folder, through the kernels and the plan that training uses, in real
// runtimes.

import { readdirSync } from "node:fs";
import path from "node:path";
import { Command, Option } from "commander";
import { CaseProgress } from "./case-progress.ts";
import type { Comparison } from "./compare.ts";
import type { ForcedTilings } from "./forced-tilings.ts";
import { type Message, type Runtime, runIn } from "./runtimes.ts";

const digits = (value: number) => value.toExponential(2).padStart(9);

function printComparison(c: Comparison): void {
  const verdict = c.passed ? "ok  " : "FAIL";
  const where = c.passed ? "" : `  expected ${c.expected}, got ${c.actual}`;
  console.log(
    `    ${verdict} ${c.tensor.padEnd(48)} error ${digits(c.maxError)}  bound ${digits(c.bound)}  at [${c.worstIndex}]${where}`,
  );
}

interface Options {
  readonly runtime: Runtime | "both";
  readonly tilings: ForcedTilings;
  readonly unclamped?: boolean;
}

async function verify(folder: string, options: Options): Promise<void> {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".safetensors"))
    .sort()
    .map((name) => path.resolve(folder, name));
  if (files.length === 0) throw new Error(`no .safetensors file in ${folder}`);
  let passed = 0;
  let failed = 0;
  const notSupported = new Map<string, string>();
  const runtimes: readonly Runtime[] = options.runtime === "both" ? ["deno", "browser"] : [options.runtime];
  for (const runtime of runtimes) {
    const pending = new Set(files.map((file) => path.basename(file)));
    const progress = new CaseProgress(runtime, pending.size, (line) => console.error(line));
    const show = (message: Message): void => {
      if ("adapter" in message) {
        const { vendor, architecture, description } = message.adapter;
        console.log(`\n${runtime}: ${[vendor, architecture, description].filter(Boolean).join(" ")}`);
      } else if ("file" in message) {
        pending.delete(message.file);
        progress.reported(message.file);
        if (message.notSupported !== undefined) {
          notSupported.set(message.file, message.notSupported);
          console.log(`  not supported ${message.file} (${message.op}): ${message.notSupported}`);
          return;
        }
        const good = message.error === undefined && message.comparisons.every((c) => c.passed);
        if (good) passed++;
        else failed++;
        console.log(
          `  ${good ? "ok  " : "FAIL"} ${message.file} (${message.op}), ${message.tilings}${message.error ? `: ${message.error}` : ""}`,
        );
        for (const comparison of message.comparisons) printComparison(comparison);
      }
    };
    try {
      await runIn(runtime, files, options, show);
    } catch (error) {
      failed++;
      console.log(`\nFAIL ${runtime}: ${error instanceof Error ? error.message : error}`);
    } finally {
      progress.stop();
    }
    // A case that was never reported has not passed.
    for (const name of pending) console.log(`  FAIL ${name}: not run in ${runtime}`);
    failed += pending.size;
  }
  const unknown = [...new Set(notSupported.values())].map((what) => {
    const cases = [...notSupported.values()].filter((one) => one === what).length;
    return `${what} (${cases})`;
  });
  if (unknown.length > 0)
    console.log(`\nnot supported, of ${files.length} cases ${notSupported.size}: ${unknown.join(", ")}`);
  console.log(`\n${passed} passed, ${failed} failed, ${notSupported.size} cases not supported`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await new Command("verify")
  .description("Runs oracle cases (safetensors files with in.*, grad.* and out.* tensors) on WebGPU devices.")
  .argument("<dir>", "folder with the cases")
  .addOption(
    new Option("--runtime <runtime>", "where to run them").choices(["deno", "browser", "both"]).default("both"),
  )
  .addOption(
    new Option("--tilings <which>", "the kernels' first choice, or every tiling that a tuner can choose, each in turn")
      .choices(["default", "all"])
      .default("all"),
  )
  .option("--unclamped", "without Dawn's clamping of indices, as in the headless browsers that `worker join` starts")
  .action(verify)
  .parseAsync();

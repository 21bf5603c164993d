// `bitswarm import`: from images as people have them to a store, told as it goes.

import { type Command, Option } from "commander";
import { MOST_CROPS } from "../../shared/data/clip.ts";
import { commandText } from "../base/command-text.ts";
import { printableJson } from "../base/printable.ts";
import type { ImportEvent } from "../import/import-event.ts";
import {
  DEFAULT_REJECTS,
  defaultOptions,
  MOST_WORKERS,
  parseHoldout,
  parseRejectLimit,
  usualWorkers,
} from "../import/import-request.ts";
import { importStore } from "../import/import-store.ts";
import { layouts } from "../import/layouts/layouts.ts";
import type { CommandTools } from "./command-tools.ts";
import { importBlock, importEventLine, importLine, startCommand, summaryText } from "./import-text.ts";
import { Progress } from "./progress.ts";
import { INTERRUPTED, stopSignal } from "./serve-options.ts";

/** Largest --short and --chunk. */
const MOST_SHORT = 4096;
const MOST_CHUNK = 32;

interface ImportFlags {
  readonly out: string;
  readonly layout?: string;
  readonly labels?: "fine" | "coarse";
  readonly short: number;
  readonly quality: number;
  readonly chunk: number;
  readonly seed: number;
  readonly holdout: string;
  readonly crops: number;
  readonly limitRejects: string;
  readonly workers: number;
  readonly json?: boolean;
}

const importHelp = `
SOURCE is a folder, a file, or files with braces in quotes ('train-{0000..1023}.tar'), of one of these:
${layouts.entries.map(({ kind, files }) => `  ${kind}: ${files}`).join("\n")}
It says which it recognised and why; --layout names one where several fit.

Images whose shorter side is larger than --short are made smaller, training ones of --quality, held-out ones of quality
96; smaller ones keep their own bytes. What is no JPEG, or one that browsers decode in their own way, is converted and
listed in the store's converted.ndjson; what cannot be read is rejected and listed in rejected.ndjson.

Of a data set of tracking (got10k, otb, uav123, vot) a sequence becomes a clip: of --crops of its usable frames the
square around the target, 255 × 255 pixels. Sequences whose files contradict each other are rejected; where there is no
val, some videos are held out.

Ctrl-C, a kill or a full disk lose at most some seconds: the same command goes on, to the same bytes. It ends with 130
where Ctrl-C stopped it. --json prints a line of JSON an event: recognised, notice, resumed, progress, rejected, done.

Examples:
  $ npx coordinator import ~/imagenet --out imagenet
      ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and the devkit as they are; some 45 GB in two to three hours of a core
  $ npx coordinator import photos --out photos-store --limit-rejects 5
      a folder a class; a tenth of the images is held out
  $ npx coordinator start imagenet-resnet18.yaml --set data.store=imagenet
      trains on it
  $ npx coordinator import got10k --out got10k-store --limit-rejects 1%
      GOT-10k's train and val, for trackers
`;

/** Runs an import until it ends or is interrupted. @returns the exit code */
async function runImport(source: string, flags: ImportFlags, tell: (line: string) => void): Promise<number> {
  const { short, quality, chunk, seed, out, layout, labels, workers, json = false } = flags;
  const request = {
    source,
    out,
    layout,
    labels,
    workers,
    options: { seed, chunk, short, quality, holdout: parseHoldout(flags.holdout), crops: flags.crops },
    limitRejects: parseRejectLimit(flags.limitRejects),
  };
  const signal = stopSignal();
  const progress = new Progress(json ? process.stderr : process.stdout, () => performance.now());
  const show = (event: ImportEvent) => {
    if (json) process.stdout.write(`${printableJson(event)}\n`);
    else if (event.type === "progress")
      progress.show(
        () => importBlock(event, progress.columns),
        () => importLine(event),
      );
    else {
      const line = importEventLine(event);
      if (line !== undefined) progress.sentence(line);
    }
  };
  try {
    const summary = await importStore(request, { signal, tell: show, now: () => performance.now() });
    progress.close();
    if (summary === undefined) {
      tell(
        `stopped; what was read is kept. The same command goes on with it: ${commandText("coordinator", process.argv.slice(2))}`,
      );
      return INTERRUPTED;
    }
    if (!json) process.stdout.write(`${summaryText(summary)}\nTrain on it: ${startCommand(summary)}\n`);
    return 0;
  } finally {
    progress.close();
  }
}

export function addImportCommand(program: Command, { wholeNumber, asPasted, tell }: CommandTools): void {
  const { short, quality, chunk, seed, holdout, crops } = defaultOptions;
  program
    .command("import")
    .description("make a store of images or marked films: read once, trained on ever after")
    .argument("<source>", "where the images are; --help says in what layouts")
    .requiredOption("--out <store>", "the store's folder, new or empty")
    .addOption(new Option("--layout <kind>", "of the source, where it is not found out").choices(layouts.kinds))
    .addOption(new Option("--labels <labels>", "of CIFAR-100").choices(["fine", "coarse"]))
    .option("--short <pixels>", "shorter side of images that are larger", wholeNumber(16, MOST_SHORT), short)
    .option("--quality <n>", "of the JPEGs that training images become", wholeNumber(1, 100), quality)
    .option("--limit-rejects <share>", "how much may be left out, as 0.01% or a number of files", DEFAULT_REJECTS)
    .option("--workers <n>", "threads that convert", wholeNumber(1, MOST_WORKERS), usualWorkers())
    .option("--seed <n>", "of the order of the images", wholeNumber(0, 0xffffffff), seed)
    .option("--chunk <n>", "images that workers fetch together", wholeNumber(1, MOST_CHUNK), chunk)
    .option("--holdout <share>", "of the training images, where there are no others to test with", `${100 * holdout}%`)
    .option("--crops <n>", "of a film at most, cut around its target", wholeNumber(2, MOST_CROPS), crops)
    .option("--json", "print only JSON lines on standard output")
    .addHelpText("after", asPasted(importHelp))
    .action(async (source: string, flags: ImportFlags) => {
      process.exitCode = await runImport(source, flags, tell);
    });
}

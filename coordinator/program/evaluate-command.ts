// `coordinator evaluate`: how good an exported network is on held-out pictures, computed on this machine's processor.

import type { Command } from "commander";
import { BitswarmError, type ErrorCode, failureText } from "../../shared/base/errors.ts";
import { dataKinds } from "../../shared/data/data-kinds.ts";
import type { ExportedModel } from "../../shared/export/exported-model.ts";
import { load } from "../../worker/inference/index.ts";
import { csvLine } from "../base/csv-line.ts";
import { printable } from "../base/printable.ts";
import { openHeldOut } from "../predict/held-out.ts";
import type { LabelledPicture } from "../predict/labelled.ts";
import { className } from "../predict/likeliest.ts";
import { readModelFile } from "../predict/model-file.ts";
import { besideOwn, type Evaluation, Tally } from "../predict/tally.ts";
import type { CommandTools } from "./command-tools.ts";
import type { Print } from "./store-commands.ts";

export interface EvaluateCommandOptions {
  readonly data: string;
  readonly root?: string;
  readonly samples?: number;
  readonly network?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

/** Pictures that are computed at once: a few megabytes of them. */
const AT_ONCE = 32;
/** Pictures that a terminal is told of one by one. */
const SHOWN_UNREAD = 20;
/** Classes that a terminal is shown; of more, the worst. */
const SHOWN_CLASSES = 20;

/** A picture of one's own that could not be read, and counts nowhere. */
interface Unread {
  readonly picture: string;
  readonly code: ErrorCode;
  readonly error: string;
}

const evaluateHelp = `
The held-out split of a data set, decoded as a run decodes it: the score is that of the run itself where the pictures
and the parameters are, and it says so. --data takes
  KINDS
      the files of a data set, in their usual place or in --root
  a store
      that \`import\` made: its folder, or s3://bucket/prefix
  a folder of your own
      with a folder of pictures for each class, by its name (- or _ for a slash) or its number; where it has folders val
      or test, in there. A picture that cannot be read is told, counts nowhere, and makes the exit code 1.

Examples:
  $ npx coordinator evaluate model.safetensors --data fashion-mnist
      score, top-5, and right answers class by class
  $ npx coordinator evaluate model.safetensors --data cifar-10 --root ~/cifar-10-batches-bin
  $ npx coordinator evaluate runs/imagenet-resnet18-20250131-154501-3fa9 --data store --samples 1000
  $ npx coordinator evaluate model.safetensors --data photos --json
      {"run","step","data","samples","seconds","score":{"name","value"},
      "top5"?,"ownScore"?:{"value","step","same"},
      "classes":[{"class","name","samples","right"}…],
      "unread"?:[{"picture","code","error"}…]}
  $ npx coordinator evaluate model.safetensors --data fashion-mnist --csv > classes.csv
      class,name,samples,right
`;

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
const share = ({ right, samples }: { readonly right: number; readonly samples: number }) => right / samples;

/** What the run measured, in words; nothing where there is nothing to say. */
function besideText(evaluation: Evaluation, model: ExportedModel, data: string): string {
  const { provenance } = model;
  const own = besideOwn(model, evaluation, data);
  switch (own.kind) {
    case "none":
      return "";
    case "other-data":
      return `the run itself measured ${percent(own.value)}, on ${provenance.dataset.testSamples} images of ${printable(provenance.dataset.name)}\n`;
    case "same":
      return `the run itself measured the same at step ${own.step}\n`;
    case "differs": {
      const step =
        own.step === provenance.step ? "" : `, of step ${own.step}: these parameters are of step ${provenance.step}`;
      const apart = Math.max(1, Math.round(Math.abs(own.value - share(evaluation)) * own.samples));
      const images = apart === 1 ? "1 image" : `${apart} images`;
      return `the run itself measured ${percent(own.value)}, ${images} apart${step}\n`;
    }
    default:
      return own satisfies never;
  }
}

/** A line a class; of more than fit a terminal those that are recognised least. */
function classLines({ classes }: Evaluation, model: ExportedModel): string {
  const seen = classes.flatMap((one, index) => (one.samples > 0 ? [{ ...one, name: className(model, index) }] : []));
  const few = seen.length <= SHOWN_CLASSES;
  const shown = few ? seen : [...seen].sort((a, b) => share(a) - share(b)).slice(0, SHOWN_CLASSES);
  const wide = Math.max(...shown.map(({ name }) => printable(name, 40).length));
  const lines = shown.map(
    (one) =>
      `  ${printable(one.name, 40).padEnd(wide)}  ${percent(share(one)).padStart(8)}  ${one.right} of ${one.samples}\n`,
  );
  const head = few ? "" : `the ${SHOWN_CLASSES} of ${seen.length} classes with the fewest right; --csv has all\n`;
  return head + lines.join("");
}

function evaluationText(evaluation: Evaluation, model: ExportedModel, data: string, seconds: number): string {
  const { samples, amongFive } = evaluation;
  const five = model.classes > 5 ? `, top-5 ${percent(amongFive / samples)}` : "";
  const speed = (samples / seconds).toFixed(0);
  return [
    `${printable(model.network.title)} of ${printable(model.provenance.run)}, step ${model.provenance.step}: accuracy ${percent(share(evaluation))}${five}\n`,
    `${samples} images of ${printable(data)} in ${seconds.toFixed(1)} s, ${speed} a second\n`,
    besideText(evaluation, model, data),
    classLines(evaluation, model),
  ].join("");
}

function evaluationJson(
  evaluation: Evaluation,
  model: ExportedModel,
  data: string,
  seconds: number,
  unread: readonly Unread[],
): string {
  const { samples, amongFive, classes } = evaluation;
  const own = besideOwn(model, evaluation, data);
  const compared = own.kind === "same" || own.kind === "differs";
  const { run, step } = model.provenance;
  return `${JSON.stringify({
    run,
    step,
    data,
    samples,
    seconds,
    score: { name: "accuracy", value: share(evaluation) },
    ...(model.classes > 5 && { top5: amongFive / samples }),
    ...(compared && { ownScore: { value: own.value, step: own.step, same: own.kind === "same" } }),
    classes: classes.map((one, index) => ({ class: index, name: className(model, index), ...one })),
    ...(unread.length > 0 && { unread }),
  })}\n`;
}

function evaluationCsv({ classes }: Evaluation, model: ExportedModel): string {
  const lines = classes.map(({ samples, right }, index) => [index, className(model, index), samples, right]);
  return [["class", "name", "samples", "right"], ...lines].map((line) => `${csvLine(line)}\n`).join("");
}

/** Pictures in groups, the last one of fewer. */
async function* grouped(pictures: AsyncIterable<LabelledPicture>): AsyncIterable<readonly LabelledPicture[]> {
  let group: LabelledPicture[] = [];
  for await (const picture of pictures) {
    group.push(picture);
    if (group.length < AT_ONCE) continue;
    yield group;
    group = [];
  }
  if (group.length > 0) yield group;
}

/**
 * A picture of one's own that cannot be read is told, and the others are gone on with.
 * @param now in milliseconds
 * @returns whether all were read
 * @throws CONFIG_INVALID, DATA_MISSING, DATA_INVALID, MODEL_INVALID
 */
export async function evaluateCommand(
  where: string,
  { data, root, samples, network, json = false, csv = false }: EvaluateCommandOptions,
  print: Print,
  tell: (line: string) => void,
  now = () => performance.now(),
): Promise<boolean> {
  if (json && csv) throw new BitswarmError("CONFIG_INVALID", "--json and --csv exclude each other; leave one out");
  const { bytes, model, notices } = await readModelFile(where, network);
  const heldOut = await openHeldOut(model, { data, root, samples });
  for (const notice of [...notices, ...heldOut.notices]) tell(notice);
  const running = await load(bytes);
  const tally = new Tally(model.classes);
  const { h, w, c } = model.input;
  const unread: Unread[] = [];
  const failed = (picture: string, error: BitswarmError) => {
    unread.push({ picture, code: error.code, error: error.message });
    if (unread.length <= SHOWN_UNREAD) tell(`${printable(picture, 1000)}: ${failureText(error)}`);
  };
  const begun = now();
  try {
    for await (const group of grouped(heldOut.read(failed))) {
      const pixels = new Uint8Array(group.length * h * w * c);
      group.forEach((one, i) => {
        pixels.set(one.pixels, i * h * w * c);
      });
      const logits = await running.logits(pixels);
      group.forEach(({ label }, i) => {
        tally.add(logits.subarray(i * model.classes, (i + 1) * model.classes), label);
      });
    }
  } finally {
    running.dispose();
  }
  const seconds = (now() - begun) / 1000;
  const { evaluation } = tally;
  if (unread.length > 0) tell(`${unread.length} of ${heldOut.samples} pictures could not be read, and count nowhere`);
  if (evaluation.samples === 0) throw new BitswarmError("DATA_INVALID", `${data} has no picture to evaluate with`);
  if (csv) await print(evaluationCsv(evaluation, model));
  else if (json) await print(evaluationJson(evaluation, model, heldOut.name, seconds, unread));
  else await print(evaluationText(evaluation, model, heldOut.name, seconds));
  return unread.length === 0;
}

/** Adds the command. */
export function addEvaluateCommand(program: Command, { wholeNumber, asPasted, tell }: CommandTools): void {
  const print: Print = (text) =>
    new Promise((resolve) => {
      process.stdout.write(text, () => resolve());
    });
  const kinds = dataKinds.kinds.filter((kind) => kind !== "store").join(", ");
  program
    .command("evaluate")
    .description("measure an exported network on held-out pictures, as its run did or on others")
    .argument("<model>", "a file that `export` wrote, or a run's folder")
    .requiredOption("--data <kind|store|folder>", "the pictures: a kind of data set, a store, or a folder of your own")
    .option("--root <folder>", "of a data set's files, where they are not in the usual place")
    .option(
      "--samples <n>",
      "the first N; unless given, as many as the run was tested with, of another data set all",
      wholeNumber(1, 2 ** 31 - 1),
    )
    .option("--network <name>", "of a run's folder: another network than the one it is for, such as teacher")
    .option("--json", "print JSON")
    .option("--csv", "print the classes for spreadsheets and data frames")
    .addHelpText("after", asPasted(evaluateHelp.replace("KINDS", kinds)))
    .showHelpAfterError("(see coordinator evaluate --help)")
    .action(async (where: string, options: EvaluateCommandOptions) => {
      if (!(await evaluateCommand(where, options, print, tell))) process.exitCode = 1;
    });
}

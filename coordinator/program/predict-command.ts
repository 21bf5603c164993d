// `coordinator predict`: what an exported network sees in pictures, on this machine's processor.

import type { Command } from "commander";
import { BitswarmError, failureText } from "../../shared/base/errors.ts";
import { seenPixels } from "../../shared/export/see-picture.ts";
import { load } from "../../worker/inference/index.ts";
import { csvLine } from "../base/csv-line.ts";
import { printable } from "../base/printable.ts";
import { pictureDecoder } from "../import/convert/decode-picture.ts";
import { likeliest, type Predicted } from "../predict/likeliest.ts";
import { readModelFile } from "../predict/model-file.ts";
import { isOfPicture, readPicture } from "../predict/picture-folder.ts";
import type { CommandTools } from "./command-tools.ts";
import type { Print } from "./store-commands.ts";

export interface PredictCommandOptions {
  readonly top: number;
  readonly network?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

const predictHelp = `
A picture is seen as the run's evaluations see theirs: scaled, its centre cut, normalised, by what the file says of it.
JPEG and BMP are read by what comes with the program; PNG, WebP, GIF, TIFF and CMYK by sharp (npm install sharp).
A photograph is turned upright as its EXIF says, which evaluations do not do; of transparency the colours count, as they
stand.

Examples:
  $ npx coordinator predict model.safetensors cat.jpg dog.png
      the five likeliest classes of each, in percent
  $ npx coordinator predict runs/fashion-lenet-20250131-154501-3fa9 shoe.png --network teacher
      a run's newest checkpoint, and there the teacher
  $ npx coordinator predict model.safetensors *.jpg --json > predicted.ndjson
      a line a picture: {"picture","predictions":[{"class","name","probability"}…]}, or {"picture","code","error"}
  $ npx coordinator predict model.safetensors *.jpg --top 1 --csv > predicted.csv
      picture,rank,class,name,probability
`;

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function textOf(picture: string, predicted: readonly Predicted[]): string {
  const named = predicted.map(({ name, probability }) => `${printable(name)} ${percent(probability)}`);
  return `${printable(picture, 1000)}: ${named.join(", ")}\n`;
}

function csvOf(picture: string, predicted: readonly Predicted[]): string {
  return predicted
    .map(({ index, name, probability }, rank) => `${csvLine([picture, rank + 1, index, name, probability])}\n`)
    .join("");
}

function jsonOf(picture: string, predicted: readonly Predicted[]): string {
  const predictions = predicted.map(({ index, name, probability }) => ({ class: index, name, probability }));
  return `${JSON.stringify({ picture, predictions })}\n`;
}

/**
 * A picture that cannot be read is told, and the others are gone on with.
 * @returns whether all were read
 */
export async function predictCommand(
  where: string,
  pictures: readonly string[],
  { top, network, json = false, csv = false }: PredictCommandOptions,
  print: Print,
  tell: (line: string) => void,
): Promise<boolean> {
  if (json && csv) throw new BitswarmError("CONFIG_INVALID", "--json and --csv exclude each other; leave one out");
  const { bytes, model: exported, notices } = await readModelFile(where, network);
  for (const notice of notices) tell(notice);
  const model = await load(bytes);
  const decode = await pictureDecoder({ turned: true });
  if (csv) await print("picture,rank,class,name,probability\n");
  let all = true;
  try {
    for (const picture of pictures) {
      try {
        const image = await decode(await readPicture(picture));
        const logits = await model.logits(seenPixels(exported.input, image));
        const predicted = likeliest(logits, exported, top);
        await print(json ? jsonOf(picture, predicted) : csv ? csvOf(picture, predicted) : textOf(picture, predicted));
      } catch (error) {
        if (!isOfPicture(error)) throw error;
        all = false;
        const { code, message } = error;
        if (json) await print(`${JSON.stringify({ picture, code, error: message })}\n`);
        tell(`${printable(picture, 1000)}: ${failureText(error)}`);
      }
    }
  } finally {
    model.dispose();
  }
  return all;
}

/** Adds the command. */
export function addPredictCommand(program: Command, { wholeNumber, asPasted, tell }: CommandTools): void {
  const print: Print = (text) =>
    new Promise((resolve) => {
      process.stdout.write(text, () => resolve());
    });
  program
    .command("predict")
    .description("say what an exported network sees in pictures")
    .argument("<model>", "a file that `export` wrote, or a run's folder")
    .argument("<pictures...>", "JPEG, PNG, WebP, GIF, BMP or TIFF")
    .option("--top <n>", "so many classes of each", wholeNumber(1, 1000), 5)
    .option("--network <name>", "of a run's folder: another network than the one it is for, such as teacher")
    .option("--json", "print a line of JSON a picture")
    .option("--csv", "print lines for spreadsheets and data frames")
    .addHelpText("after", asPasted(predictHelp))
    .showHelpAfterError("(see coordinator predict --help)")
    .action(async (where: string, pictures: readonly string[], options: PredictCommandOptions) => {
      if (!(await predictCommand(where, pictures, options, print, tell))) process.exitCode = 1;
    });
}

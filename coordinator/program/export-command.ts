// `coordinator export`: a run's network as a file for inference.

import { extname } from "node:path";
import { type Command, Option } from "commander";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { ExportedModel, ExportedSizes } from "../../shared/export/exported-model.ts";
import { type EncodedFile, type ExportOptions, exportModel } from "../checkpoint/export.ts";
import { writeDemo } from "../demo/demo-folder.ts";
import { writeOnnx } from "../export/onnx/onnx-model.ts";
import { writeOnnxTracker } from "../export/onnx/onnx-tracker.ts";
import { type WeightKind, weightKinds } from "../export/onnx/weights.ts";
import type { CommandTools } from "./command-tools.ts";

interface ExportCommandOptions {
  readonly out: string;
  readonly network?: string;
  readonly format?: ExportFormat;
  readonly weights?: WeightKind;
}

const exportFormats = ["safetensors", "onnx", "demo"] as const;
type ExportFormat = (typeof exportFormats)[number];

/** The format that is asked for, or that a file of this name has. */
function exportFormat({ out, format }: Pick<ExportCommandOptions, "out" | "format">): ExportFormat {
  return format ?? (extname(out).toLowerCase() === ".onnx" ? "onnx" : "safetensors");
}

const endings = { safetensors: ".safetensors", onnx: ".onnx" } as const;

/** The name as given, with the ending of its format where it has none: other tools go by it. */
function namedFile(out: string, format: keyof typeof endings): string {
  const known: readonly string[] = Object.values(endings);
  return known.includes(extname(out).toLowerCase()) ? out : `${out}${endings[format]}`;
}

/** A network that follows a target is two: what makes features, once of a target, and what compares them. */
function onnxFiles(model: ExportedModel, weights: WeightKind): readonly EncodedFile[] {
  if (!model.tracking) return [{ bytes: writeOnnx(model, weights) }];
  const { backbone, head } = writeOnnxTracker(model, weights);
  return [
    { part: "backbone", bytes: backbone },
    { part: "head", bytes: head },
  ];
}

/** How files of another format than the export's own are made. @throws CONFIG_INVALID for options that it has not */
function encoderOf(options: ExportCommandOptions): ExportOptions["encode"] {
  const { weights } = options;
  const format = exportFormat(options);
  switch (format) {
    case "safetensors":
      if (weights === undefined) return undefined;
      throw new BitswarmError(
        "CONFIG_INVALID",
        `--weights ${weights} is of --format onnx; a safetensors file has every weight in the bits of its method: leave it out`,
      );
    case "demo":
      throw new RangeError("a demo is a folder: no file is encoded");
    case "onnx":
      return (model) => onnxFiles(model, weights ?? "float");
    default:
      return format satisfies never;
  }
}

const exportHelp = `
The file is safetensors, and says by itself how to read it: graph, class names,
what becomes of a picture, bits and scales, and which run it is from; nothing of
this machine. SPEC.md, annex 12, has all of it, and
test/export/load_bitswarm.py of the checkout reads it in PyTorch.

Examples:
  $ npx coordinator export runs/NAME --out model.safetensors
      the network of the newest checkpoint
  $ npx coordinator export runs/NAME --network teacher --out teacher.safetensors
      its teacher, in full precision; any network of the run, by its name or its
      title
  $ npx coordinator export runs/NAME --format onnx --out model.onnx
      for any ONNX runtime (opset 13, standard operators alone): float32 in,
      [batch][channel][row][column], normalised as the file's metadata say, with
      class names, score and provenance; --weights packed keeps weights in their
      bits, and standard operators make floats of them where the file is loaded.
      Of a network that follows a target there are two files,
      model-backbone.onnx and model-head.onnx
  $ npx coordinator export runs/NAME --format demo --out demo
      a folder for any web server, below any path: a page to draw on, the
      network and its teacher, in the visitor's browser; of a network that
      follows a target a page on which it follows in a film, or before the
      camera
`;

/**
 * How large the file is, and what its parameters take: as its weights stand in it, and otherwise.
 * @param weights of an ONNX file
 */
export function sizesText(
  fileBytes: number,
  { bytes, fullPrecisionBytes }: ExportedSizes,
  weights: WeightKind = "packed",
): string {
  if (bytes === fullPrecisionBytes) return `${fileBytes} bytes (parameters ${bytes}, all in full precision)`;
  const ratio = (fullPrecisionBytes / bytes).toFixed(1);
  return weights === "packed"
    ? `${fileBytes} bytes (parameters ${bytes}; in full precision they would be ${fullPrecisionBytes}, ${ratio} times as many)`
    : `${fileBytes} bytes (parameters ${fullPrecisionBytes}, each a float here; in their bits they are ${bytes}, ${ratio} times fewer: --weights packed, or safetensors)`;
}

/** Writes the demo's folder. @throws CONFIG_INVALID for options that it has not */
async function exportDemo(runDir: string, options: ExportCommandOptions, tell: CommandTools["tell"]): Promise<void> {
  const { out, network, weights } = options;
  const other = network === undefined ? weights && "--weights" : "--network";
  if (other !== undefined) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `${other} is of files; a demo has the run's network and its teacher: leave it out`,
    );
  }
  const { step, fileBytes, notices } = await writeDemo(runDir, out);
  for (const notice of notices) tell(notice);
  process.stdout.write(`${out}: a demo of step ${step}, ${fileBytes} bytes; any web server can serve the folder\n`);
}

/** Adds the command. */
export function addExportCommand(program: Command, { asPasted, tell }: CommandTools): void {
  program
    .command("export")
    .description(
      "write the network of a run's newest checkpoint for inference: packed signs, their scales and the float rest; or ONNX, or a demo",
    )
    .argument("<run-dir>", "the run's folder")
    .requiredOption(
      "--out <file>",
      "the file to write, which gets its format's ending where it has none, or the folder of a demo",
    )
    .addOption(
      new Option(
        "--format <format>",
        "onnx where the file's name ends in .onnx, else safetensors, unless given",
      ).choices(exportFormats),
    )
    .addOption(
      new Option(
        "--weights <kind>",
        "with --format onnx, of those that the method quantised: float (the default), or packed in their bits",
      ).choices(weightKinds),
    )
    .option("--network <name>", "another network of the run than the one it is for, such as teacher")
    .addHelpText("after", asPasted(exportHelp))
    .showHelpAfterError("(see coordinator export --help)")
    .action(async (runDir: string, options: ExportCommandOptions) => {
      const { out, network } = options;
      const format = exportFormat(options);
      if (format === "demo") return exportDemo(runDir, options, tell);
      const encode = encoderOf(options);
      const exported = await exportModel(runDir, namedFile(out, format), { network, encode });
      const { path, beside, step, fileBytes, title, sizes, skipped, notices } = exported;
      for (const damaged of skipped) tell(`skipped ${damaged.path}: ${damaged.reason}`);
      for (const notice of notices) tell(notice);
      const weights = format === "onnx" ? (options.weights ?? "float") : "packed";
      process.stdout.write(
        `${[path, ...beside].join(" and ")}: ${title}, step ${step}, ${sizesText(fileBytes, sizes, weights)}\n`,
      );
    });
}

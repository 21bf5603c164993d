// What a teacher's file says of the teacher: options of its model that the configuration leaves out, and whether it saw
// images as this run's networks will.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { models } from "../../shared/model/networks/models.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { unwrapped } from "./teacher-names.ts";
import { readTeacherSource } from "./teacher-source.ts";

/** Per channel: what torchvision's and timm's ResNets were trained with. */
export const imageNetNormalisation = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** Two numbers of a normalisation that mean the same: they are written with three digits. */
const SAME = 1.5e-3;

/** The weight that every network of this kind begins with. */
const FIRST = "conv1.weight";

/** Shapes by the network's names, where one network alone is in the file. */
async function shapesOf(path: string): Promise<(name: string) => readonly number[] | undefined> {
  const { tensors, foreign } = await readTeacherSource(path);
  const all = new Map([...foreign, ...tensors].map(([name, { shape }]) => [name, shape]));
  const plain = unwrapped(all) ?? all;
  const starts = [...plain.keys()].flatMap((name) =>
    name === FIRST || (name.endsWith(`.${FIRST}`) && !/(^|\.)layer\d+\.\d+\.conv1\.weight$/.test(name))
      ? [name.slice(0, -FIRST.length)]
      : [],
  );
  const [prefix = ""] = starts.length === 1 ? starts : [];
  return (name) => plain.get(prefix + name);
}

/**
 * The configuration with those options of `teacher.model` that only the file has.
 * @throws TEACHER_MISMATCH for a network of another kind of block, DATA_MISSING, SAFETENSORS_INVALID
 */
export async function withTeacherModel(config: RunConfig): Promise<RunConfig> {
  const { file, model } = config.teacher;
  if (file === undefined || model === undefined) return config;
  const { guess } = models.get(model.kind);
  const shapeOf = await shapesOf(file);
  if (shapeOf("layer1.0.conv3.weight")) {
    throw new BitswarmError(
      "TEACHER_MISMATCH",
      `teacher.file: ${file} is a ResNet of bottleneck blocks (three convolutions a block), such as ResNet-50; a teacher has basic blocks of two, whose maps are those of the network that it teaches: give a ResNet-18 or a ResNet-34`,
    );
  }
  const found = guess?.(shapeOf);
  if (found === undefined) return config;
  // Blocks stand in place of a depth.
  const { depth, blocks, ...others } = found;
  const own =
    "depth" in model || "blocks" in model ? {} : { ...(depth ? { depth } : {}), ...(blocks ? { blocks } : {}) };
  return { ...config, teacher: { ...config.teacher, model: { ...own, ...others, ...given(model) } } };
}

/** The options that are there. */
function given(model: NonNullable<RunConfig["teacher"]["model"]>): typeof model {
  const there = Object.entries(model).filter(([, value]) => value !== undefined);
  return Object.fromEntries(there) as typeof model;
}

const same = (one: readonly number[], other: readonly number[]) =>
  one.length === other.length && one.every((value, i) => Math.abs(value - other[i]) <= SAME);

const list = (values: readonly number[]) => values.map((value) => Number(value.toFixed(4))).join(", ");

/** What torchvision's ResNets were tested with. */
const imageNetCrop = { size: 224, resize: 256 } as const;

/** Only images that are cut have another size here than the teacher saw. */
function cropNotice({ size, resize }: RunConfig["data"]): readonly string[] {
  if (size === undefined || (size === imageNetCrop.size && resize === imageNetCrop.resize)) return [];
  return [
    `the run sees images of ${size} pixels, of ${resize} in evaluations; torchvision's teachers saw ${imageNetCrop.size} of ${imageNetCrop.resize}: what theirs got on ImageNet is not to be expected`,
  ];
}

/**
 * What a person should know of how the teacher sees the run's images.
 * @throws TEACHER_MISMATCH where it was trained with another normalisation
 */
export function normalisationNotices(config: RunConfig, dataset: Pick<Dataset, "mean" | "std">): readonly string[] {
  const { file, model, mean, std } = config.teacher;
  for (const [name, own, run] of [
    ["mean", mean, dataset.mean],
    ["std", std, dataset.std],
  ] as const) {
    if (own === undefined || same(own, run)) continue;
    throw new BitswarmError(
      "TEACHER_MISMATCH",
      `teacher.${name}: the teacher was trained with ${list(own)} per channel, and this run's images have ${list(run)}: its maps would be those of other images. Give a data set of that normalisation, or a teacher that was trained with this one`,
    );
  }
  const imageNet = same(dataset.mean, imageNetNormalisation.mean) && same(dataset.std, imageNetNormalisation.std);
  const torchvisions = file !== undefined && model?.kind === "resnet-torchvision" && dataset.mean.length === 3;
  if (!torchvisions) return [];
  const crop = model.stem === "imagenet" ? cropNotice(config.data) : [];
  if (imageNet || (mean !== undefined && std !== undefined)) return crop;
  return [
    ...crop,
    `the images have mean ${list(dataset.mean)} and deviation ${list(dataset.std)}; torchvision's and timm's teachers were trained with ${list(imageNetNormalisation.mean)} and ${list(imageNetNormalisation.std)}. Set teacher.mean and teacher.std to what yours was trained with, so that a start compares them`,
  ];
}

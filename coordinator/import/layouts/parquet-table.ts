// What a Parquet file of Hugging Face says of its columns: which holds the pictures, which the labels, and the names of
// the classes.

import { z } from "zod";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import type { ParquetColumn, ParquetFile } from "../formats/parquet.ts";
import type { LayoutOptions } from "./layout.ts";
import { MAX_CLASS_NAME, MOST_CLASSES } from "./wordnet.ts";

/** Longest description of the columns: 21,842 names take a few hundred KB. */
const MAX_FEATURES = 2 ** 24;
const HUGGING_FACE = "huggingface";
const imageNames = ["image", "img", "jpg", "jpeg", "png", "picture"];
const labelNames = ["label", "labels", "cls", "target", "class", "fine_label"];

export interface Table {
  readonly bytes: ParquetColumn;
  readonly path?: ParquetColumn;
  readonly label: ParquetColumn;
  /** Of the labels, where the file tells them. */
  readonly names?: readonly string[];
}

const feature = z.looseObject({
  _type: z.string().optional(),
  names: z.array(z.string()).max(MOST_CLASSES).optional(),
});
const description = z.looseObject({ info: z.looseObject({ features: z.record(z.string(), z.unknown()) }) });
type Features = ReadonlyMap<string, z.output<typeof feature>>;

function featuresOf(file: ParquetFile): Features {
  const text = file.text(HUGGING_FACE);
  if (text === undefined || text.length > MAX_FEATURES) return new Map();
  try {
    const { info } = description.parse(JSON.parse(text));
    return new Map(
      Object.entries(info.features).flatMap(([name, value]) => {
        const parsed = feature.safeParse(value);
        return parsed.success ? [[name, parsed.data]] : [];
      }),
    );
  } catch {
    return new Map();
  }
}

function pictureColumns(columns: readonly ParquetColumn[]): Pick<Table, "bytes" | "path"> | undefined {
  const usable = columns.filter(({ repeated }) => !repeated);
  const structures = usable.filter(
    ({ path, type }) => path.length === 2 && path[1] === "bytes" && type === "BYTE_ARRAY",
  );
  const plain = usable.filter(
    ({ path, type }) => path.length === 1 && type === "BYTE_ARRAY" && imageNames.includes(path[0]),
  );
  const candidates = structures.length > 0 ? structures : plain;
  const bytes = candidates.length === 1 ? candidates[0] : candidates.find(({ path }) => imageNames.includes(path[0]));
  if (bytes === undefined) return undefined;
  return {
    bytes,
    path: usable.find(({ path }) => path.length === 2 && path[0] === bytes.path[0] && path[1] === "path"),
  };
}

function labelColumn(
  columns: readonly ParquetColumn[],
  features: Features,
  wanted?: string,
): ParquetColumn | undefined {
  const numbers = columns.filter(
    ({ path, type, repeated }) => path.length === 1 && !repeated && /^INT(32|64)$/.test(type),
  );
  const named = (name: string) => numbers.find(({ path }) => path[0] === name);
  if (wanted !== undefined) return named(`${wanted}_label`);
  const classLabels = numbers.filter(({ path }) => features.get(path[0])?._type === "ClassLabel");
  return (
    labelNames.map(named).find((one) => one !== undefined) ?? (classLabels.length === 1 ? classLabels[0] : undefined)
  );
}

/** Whether a file has pictures and labels at all. */
export function hasTable(file: ParquetFile): boolean {
  return pictureColumns(file.columns) !== undefined;
}

/** @throws DATA_INVALID naming the columns that there are */
export function tableOf(file: ParquetFile, { labels }: LayoutOptions): Table {
  const features = featuresOf(file);
  const pictures = pictureColumns(file.columns);
  const label = labelColumn(file.columns, features, labels);
  if (pictures === undefined || label === undefined) {
    const there = printable(file.columns.map(({ path, type }) => `${path.join(".")} ${type}`).join(", "), 300);
    const lacks =
      pictures === undefined
        ? "pictures (image with bytes)"
        : `labels (${labels ? `${labels}_label` : labelNames.join(", ")}, a whole number)`;
    throw new BitswarmError(
      "DATA_INVALID",
      `${file.path} has no column of ${lacks}, but ${there}: is it a data set of labelled pictures?`,
    );
  }
  const names = features.get(label.path[0])?.names?.map((name) => name.slice(0, MAX_CLASS_NAME));
  return { ...pictures, label, names };
}

export interface TableRow {
  readonly content?: Uint8Array;
  readonly path?: string;
  /** Nothing where it is null. */
  readonly label?: number;
}

function valueAt(row: unknown, path: readonly string[]): unknown {
  return path.reduce(
    (value, name) => (typeof value === "object" && value !== null ? (value as never)[name] : undefined),
    row,
  );
}

/** A row's values, of the columns that were read. */
export function rowOf({ bytes, path, label }: Table, row: unknown): TableRow {
  const content = valueAt(row, bytes.path);
  const name = path && valueAt(row, path.path);
  const number = valueAt(row, label.path);
  return {
    content: content instanceof Uint8Array ? content : undefined,
    path: name instanceof Uint8Array ? Buffer.from(name).toString("utf8") : typeof name === "string" ? name : undefined,
    label: typeof number === "bigint" || typeof number === "number" ? Number(number) : undefined,
  };
}

// Which configuration a teacher's file is for: where its tensors have other shapes than the run's network, the fields
// that would make them fit are guessed from the shapes, and tried.

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { classCount } from "../../shared/data/data-kinds.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { models } from "../../shared/model/networks/models.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { twinManifest } from "../../shared/run/networks.ts";
import { fileShape } from "../state/axis-order.ts";
import type { ShapeOf } from "./teacher-file.ts";

/** Zero pixels around images that are tried, beside those of the run. */
const triedPads = [0, 1, 2, 3, 4];

/**
 * Fields of the configuration that fit a file's shapes, as `--set` takes them; undefined where none was found.
 * @param shapeOf shapes in the file, PyTorch's order
 */
export function fittingFields(
  config: Pick<RunConfig, "model" | "task" | "method" | "data" | "teacher">,
  dataset: Pick<Dataset, "shape" | "classes">,
  shapeOf: ShapeOf,
): string | undefined {
  const { data } = config;
  const classes = shapeOf("fc.weight")?.[0] ?? dataset.classes;
  const { kind: ownKind } = config.teacher.model ?? config.model;
  // The run's own model first: two kinds may make the same network.
  const own = models.entries.filter(({ kind }) => kind === ownKind);
  for (const { guess, fullPrecisionOnly } of [...own, ...models.entries]) {
    const model = guess?.(shapeOf);
    if (model === undefined) continue;
    const field = fullPrecisionOnly || config.teacher.model !== undefined ? "teacher.model" : "model";
    for (const pad of [data.pad, ...triedPads]) {
      const fields = { ...config, model, data: { ...data, pad } } as typeof config;
      if (!fits(fields, { ...dataset, classes }, shapeOf)) continue;
      const changed: [string, unknown][] = [
        ...Object.entries(model).map(([name, value]): [string, unknown] => [`${field}.${name}`, value]),
        ...(pad === data.pad ? [] : [["data.pad", pad] as [string, unknown]]),
        ...(classes === (classCount(data) ?? dataset.classes) ? [] : [["data.classes", classes] as [string, unknown]]),
      ];
      return changed
        .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`)
        .join(" ");
    }
  }
  return undefined;
}

function fits(
  config: Parameters<typeof twinManifest>[0],
  dataset: Parameters<typeof twinManifest>[1],
  shapeOf: ShapeOf,
) {
  try {
    return twinManifest(config, dataset).entries.every(
      ({ name, shape }) => shapeOf(name)?.join() === fileShape(shape).join(),
    );
  } catch (error) {
    // No network of these fields takes the images, or one is beyond its limits.
    if (error instanceof BitswarmError || error instanceof z.ZodError) return false;
    throw error;
  }
}

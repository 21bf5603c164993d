// A teacher that somebody else trained: a safetensors file with torchvision's names and PyTorch's axis order.

import { readFile } from "node:fs/promises";
import { BitswarmError } from "../../shared/base/errors.ts";
import { float32Of, readSafetensors, type SafeTensor } from "../../shared/base/safetensors.ts";
import { elementCount, type Manifest } from "../../shared/model/manifest.ts";
import { fileShape, fromFileOrder } from "../state/axis-order.ts";
import type { ParameterMap } from "../state/training-state.ts";

const floatTypes: readonly SafeTensor["dtype"][] = ["F32", "F64", "F16", "BF16"];

/** Problems beyond this many are counted, not listed. */
const listed = 20;

async function bytesOf(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new BitswarmError(
      "DATA_MISSING",
      `teacher.file: ${path} cannot be read (${(cause as Error).message}); give a safetensors file, or leave the field out to train a teacher`,
      { cause },
    );
  }
}

function problemOf(tensor: SafeTensor | undefined, shape: readonly number[]): string | undefined {
  if (!tensor) return `missing; expected [${shape}]`;
  if (tensor.shape.join() !== shape.join()) return `has shape [${tensor.shape}]; expected [${shape}]`;
  if (!floatTypes.includes(tensor.dtype)) return `is ${tensor.dtype}; expected one of ${floatTypes.join(", ")}`;
  const bad = float32Of(tensor).find((value) => !Number.isFinite(value));
  return bad === undefined ? undefined : `holds ${bad}; expected finite float32 values`;
}

/**
 * The teacher's parameters by name, f32 in the manifest's axis order. Tensors that the manifest does not name are
 * ignored.
 * @throws TEACHER_MISMATCH listing every tensor that is missing or of another shape, DATA_MISSING, SAFETENSORS_INVALID
 */
export async function readTeacherFile(path: string, manifest: Manifest): Promise<ParameterMap> {
  const { tensors } = readSafetensors(await bytesOf(path));
  const problems: string[] = [];
  const parameters: ParameterMap = new Map();
  for (const { name, shape } of manifest.entries) {
    const tensor = tensors.get(name);
    const problem = problemOf(tensor, fileShape(shape));
    if (problem !== undefined) problems.push(`  ${name}: ${problem}`);
    else if (tensor) parameters.set(name, fromFileOrder(float32Of(tensor), shape));
  }
  if (problems.length > 0) {
    const more = problems.length > listed ? [`  and ${problems.length - listed} more`] : [];
    const values = manifest.entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    throw new BitswarmError(
      "TEACHER_MISMATCH",
      [
        `${path} does not fit the teacher of this run (${manifest.entries.length} tensors, ${values} values; its shape follows model and data):`,
        ...problems.slice(0, listed),
        ...more,
      ].join("\n"),
    );
  }
  return parameters;
}

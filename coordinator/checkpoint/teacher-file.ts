// A teacher that somebody else trained: a safetensors file with torchvision's names and PyTorch's axis order.

import { BitswarmError } from "../../shared/base/errors.ts";
import { nearest } from "../../shared/base/nearest.ts";
import { type ForeignTensor, float32Of, type SafeTensor, type Safetensors } from "../../shared/base/safetensors.ts";
import { elementCount, type Manifest, type ParameterEntry } from "../../shared/model/manifest.ts";
import { fileShape, fromFileOrder } from "../state/axis-order.ts";
import type { ParameterMap } from "../state/training-state.ts";
import { unwrapped, withoutPlace } from "./teacher-names.ts";
import { readTeacherSource } from "./teacher-source.ts";

const floatTypes: readonly string[] = ["F32", "F64", "F16", "BF16"];

/** Problems beyond this many are counted, not listed. */
const listed = 20;
/** Names of the file that a message shows. */
const shownNames = 8;
/** Names that are compared with a missing one. */
const comparedNames = 2000;

type Tensor = SafeTensor | ForeignTensor;
/** Tensors of a file by the names that the network has for them. */
type Named = ReadonlyMap<string, Tensor>;

/** What stands before the network's names in a file: "model.", where the network is a part of another module. */
function prefixes(tensors: Named, { entries }: Manifest): string[] {
  const [{ name: first }] = entries;
  const found = [...tensors.keys()].flatMap((name) =>
    name.endsWith(`.${first}`) ? [name.slice(0, -first.length)] : [],
  );
  return found.filter((prefix) => entries.every(({ name }) => tensors.has(prefix + name)));
}

/** The file's tensors by the network's names. @throws TEACHER_MISMATCH where two networks in it could be meant */
function namedAsHere(path: string, all: Named, manifest: Manifest): Named {
  const whole = (tensors: Named) => manifest.entries.every(({ name }) => tensors.has(name));
  if (whole(all)) return all;
  const plain = unwrapped(all) ?? all;
  if (whole(plain)) return plain;
  const [prefix, ...others] = prefixes(plain, manifest);
  if (prefix === undefined) return plain;
  if (others.length > 0) {
    throw new BitswarmError(
      "TEACHER_MISMATCH",
      `teacher.file: ${path} has several networks that fit, under ${[prefix, ...others].join(", ")}: save one of them alone`,
    );
  }
  return new Map(
    [...plain].flatMap(([name, tensor]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [])),
  );
}

/** The name in the file that was perhaps meant: of the same shape, and near. */
function similar(tensors: Named, name: string, shape: readonly number[]): string {
  const names = [...tensors].filter(([, tensor]) => tensor.shape.join() === shape.join()).map(([one]) => one);
  const last = name.split(".").at(-1);
  const near = nearest(name, names.slice(0, comparedNames)) ?? names.find((one) => one.endsWith(`.${last}`));
  return near === undefined ? "" : `; is it ${near}?`;
}

function problemOf(tensors: Named, { name, shape: own, role }: ParameterEntry): string | undefined {
  const tensor = tensors.get(name);
  const shape = fileShape(own);
  if (!tensor) return `missing; expected [${shape}]${similar(tensors, name, shape)}`;
  if (tensor.shape.join() !== shape.join()) return `has shape [${tensor.shape}]; expected [${shape}]`;
  if (!floatTypes.includes(tensor.dtype) || !("bytes" in tensor)) {
    return `is ${tensor.dtype}; expected one of ${floatTypes.join(", ")}`;
  }
  const values = float32Of(tensor);
  const bad = values.find((value) => !Number.isFinite(value));
  if (bad !== undefined) return `holds ${bad}; expected finite float32 values`;
  const below = role === "statistic" && name.endsWith("running_var") ? values.find((value) => value < 0) : undefined;
  return below === undefined ? undefined : `holds ${below}; a variance is at least 0`;
}

/** What the file does have, in a line. */
function contents({ tensors, foreign }: Safetensors): string {
  const names = [...tensors.keys(), ...foreign.keys()];
  if (names.length === 0) return "the file has no tensors";
  const shown = names.slice(0, shownNames).join(", ");
  return `the file has ${names.length} tensors: ${shown}${names.length > shownNames ? ", …" : ""}`;
}

/** Shapes of a file's tensors, as files have them, by the network's names. */
export type ShapeOf = (name: string) => readonly number[] | undefined;

/**
 * The teacher's parameters by name, f32 in the manifest's axis order. Names may have what DataParallel, torch.compile
 * or a module around the network put before them. Tensors of modules that the network has not are ignored.
 * @param fitting fields of a configuration whose network has these shapes: "model.widths=[…]"
 * @throws TEACHER_MISMATCH listing every tensor that is missing or of another shape, and what the file has;
 * DATA_MISSING, SAFETENSORS_INVALID; all name the field and the file
 */
export async function readTeacherFile(
  path: string,
  manifest: Manifest,
  fitting: (shapeOf: ShapeOf) => string | undefined = () => undefined,
): Promise<ParameterMap> {
  const source = await readTeacherSource(path);
  const tensors = namedAsHere(path, new Map<string, Tensor>([...source.foreign, ...source.tensors]), manifest);
  const problems: string[] = [];
  const parameters: ParameterMap = new Map();
  for (const entry of manifest.entries) {
    const { name, shape } = entry;
    const problem = problemOf(tensors, entry);
    const tensor = tensors.get(name);
    if (problem !== undefined) problems.push(`  ${name}: ${problem}`);
    else if (tensor && "bytes" in tensor) parameters.set(name, fromFileOrder(float32Of(tensor), shape));
  }
  const names = manifest.entries.map(({ name }) => name);
  for (const name of withoutPlace(tensors.keys(), names)) {
    problems.push(`  ${name}: [${tensors.get(name)?.shape}] has no place in it`);
  }
  if (problems.length === 0) return parameters;
  const more = problems.length > listed ? [`  and ${problems.length - listed} more`] : [];
  const values = manifest.entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const fields = fitting((name) => tensors.get(name)?.shape);
  throw new BitswarmError(
    "TEACHER_MISMATCH",
    [
      `teacher.file: ${path} does not fit the teacher of this run (${manifest.entries.length} tensors, ${values} values; its shape follows model and data):`,
      ...problems.slice(0, listed),
      ...more,
      `  ${contents(source)}`,
      ...(fields === undefined ? [] : [`  it fits a run with ${fields}`]),
    ].join("\n"),
  );
}

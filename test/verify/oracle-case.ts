// Reads one oracle file: tensors in PyTorch's layouts, converted on the way in and out of the GPU's.

import { z } from "zod";
import { float32Of, int32Of, readSafetensors } from "../../shared/base/safetensors.ts";
import { nchwToNhwc, toOhwi } from "../../shared/model/axes.ts";

export interface OracleTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface OracleCase {
  readonly op: string;
  readonly attributes: unknown;
  /** Names of all tensors that start with a prefix. */
  readonly names: (prefix: string) => readonly string[];
  /** As stored, PyTorch's layout; whole numbers as f32, too. */
  readonly tensor: (name: string) => OracleTensor;
  readonly has: (name: string) => boolean;
  readonly labels: (name: string) => Uint32Array<ArrayBuffer>;
  /** U8 values as stored. */
  readonly bytes: (name: string) => Uint8Array;
  /** A 4-D map as f32 [n][h][w][c], a matrix as it is. */
  readonly map: (name: string) => Float32Array;
  /** A 4-D weight as f32 [out][kh][kw][in], others as they are. */
  readonly weight: (name: string) => Float32Array;
}

function fourAxes(shape: readonly number[]): [number, number, number, number] {
  return [shape[0], shape[1], shape[2], shape[3]];
}

export function readOracleCase(bytes: Uint8Array): OracleCase {
  const { metadata, tensors } = readSafetensors(bytes);
  const stored = (name: string) => {
    const found = tensors.get(name);
    if (!found) throw new RangeError(`the case has no tensor ${name}; it has ${[...tensors.keys()].join(", ")}`);
    return found;
  };
  const tensor = (name: string): OracleTensor => {
    const found = stored(name);
    const whole = found.dtype === "I32" || found.dtype === "U8";
    const data = whole ? Float32Array.from(int32Of(found)) : float32Of(found);
    return { shape: found.shape, data };
  };
  const converted = (
    name: string,
    convert: (data: Float32Array, shape: [number, number, number, number]) => Float32Array,
  ) => {
    const { shape, data } = tensor(name);
    return shape.length === 4 ? convert(data, fourAxes(shape)) : data;
  };
  return {
    op: metadata.op ?? "",
    attributes: JSON.parse(z.string().parse(metadata.attrs)),
    names: (prefix) => [...tensors.keys()].filter((name) => name.startsWith(prefix)),
    tensor,
    has: (name) => tensors.has(name),
    labels: (name) => Uint32Array.from(int32Of(stored(name))),
    bytes: (name) => Uint8Array.from(int32Of(stored(name))),
    map: (name) => converted(name, nchwToNhwc),
    weight: (name) => converted(name, toOhwi),
  };
}

// A loaded network: pictures in, classes out.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { ExportedModel } from "../../shared/export/exported-model.ts";
import { inputValues, seenPixels } from "../../shared/export/see-picture.ts";
import type { BackendKind, CommonInfo, Model, ModelInfo, Prediction } from "./api.ts";
import { rgbOf } from "./picture.ts";
import type { Backend } from "./program/backend.ts";

/** Values of what a network computes with, a bit or a float each. */
function parametersOf(tensors: ExportedModel["tensors"]): number {
  let parameters = 0;
  for (const { dtype, shape } of tensors.values()) {
    parameters += shape.reduce((product, length) => product * length, dtype === "U8" ? 8 : 1);
  }
  return parameters;
}

/** What is told of any network, whatever it is for. */
export function commonInfo(
  { network, input, method, model, provenance, tensors }: ExportedModel,
  backend: BackendKind,
  fileBytes: number,
): CommonInfo {
  return {
    backend,
    title: network.title,
    mean: input.mean,
    std: input.std,
    method: method.kind,
    model: model.kind,
    run: provenance.run,
    dataset: provenance.dataset.name,
    step: provenance.step,
    ...(provenance.score && { score: provenance.score }),
    fileBytes,
    parameters: parametersOf(tensors),
  };
}

function infoOf(exported: ExportedModel, backend: BackendKind, fileBytes: number): ModelInfo {
  const { classes, classNames } = exported;
  const { h, w, c, pad } = exported.input;
  return {
    ...commonInfo(exported, backend, fileBytes),
    input: { h, w, c },
    pad,
    classes,
    labels: classNames ?? Array.from({ length: classes }, (_, index) => String(index)),
  };
}

/** The likeliest classes of logits. */
export function predictions(logits: Float32Array, labels: readonly string[], top: number): readonly Prediction[] {
  const greatest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Float64Array.from(logits, (value) => Math.exp(value - greatest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return Array.from(powers, (power, index) => ({ label: labels[index], index, probability: power / sum }))
    .sort((a, b) => b.probability - a.probability || a.index - b.index)
    .slice(0, top);
}

/** @throws COMPUTE_FAILED for logits that say nothing: floats of the file, or of an input, are too large */
function finite(logits: Float32Array): Float32Array {
  if (logits.every(Number.isFinite)) return logits;
  throw new BitswarmError(
    "COMPUTE_FAILED",
    "what the network makes of this is no number: its floats, or the input's, are too large; get the file anew, or export an earlier checkpoint",
  );
}

export function modelOf(exported: ExportedModel, backend: Backend, fileBytes: number): Model {
  const info = infoOf(exported, backend.kind, fileBytes);
  const { input } = exported;
  const size = input.h * input.w * input.c;
  const valuesOf = (one: Float32Array | Uint8Array) => (one instanceof Uint8Array ? inputValues(input, one) : one);
  let disposed = false;
  const requireThere = () => {
    if (disposed) {
      throw new BitswarmError("COMPUTE_FAILED", "this network was disposed of, and computes no more; load it again");
    }
  };
  return {
    info,
    async predict(picture, { top = 5 } = {}) {
      requireThere();
      if (!(Number.isSafeInteger(top) && top >= 1)) {
        throw new BitswarmError("CONFIG_INVALID", `top must be a whole number from 1 on; got ${String(top)}`);
      }
      const logits = await backend.run(inputValues(input, seenPixels(input, rgbOf(picture))));
      return predictions(finite(logits), info.labels, top);
    },
    async logits(given) {
      requireThere();
      if (!(given instanceof Float32Array || given instanceof Uint8Array)) {
        throw new BitswarmError(
          "DATA_INVALID",
          `logits takes a Float32Array of normalised values or a Uint8Array of pixels; got ${Object.prototype.toString.call(given).slice(8, -1)}`,
        );
      }
      const n = given.length / size;
      if (!Number.isInteger(n)) {
        throw new BitswarmError(
          "DATA_INVALID",
          `inputs are ${input.h} × ${input.w} × ${input.c} values each, ${size}; got ${given.length}: give [n][h][w][c], padded`,
        );
      }
      const all: Float32Array[] = [];
      for (let i = 0; i < n; i++) {
        all.push(finite(await backend.run(valuesOf(given.subarray(i * size, (i + 1) * size)))));
      }
      const outputs = all[0]?.length ?? 0;
      const result = new Float32Array(n * outputs);
      for (const [i, logits] of all.entries()) result.set(logits, i * outputs);
      return result;
    },
    dispose() {
      if (disposed) return;
      disposed = true;
      backend.dispose();
    },
  };
}

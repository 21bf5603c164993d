// `bitswarm/inference`: a network that was trained here, in any page or program.

import { BitswarmError } from "../../shared/base/errors.ts";
import { readExported } from "../../shared/export/read-exported.ts";
import type { LoadOptions, Model, Source } from "./api.ts";
import { onGpuOrCpu, requireBackend } from "./gpu.ts";
import { modelOf } from "./model.ts";
import type { Backend } from "./program/backend.ts";
import { lowered } from "./program/lower.ts";
import { bytesOf } from "./source.ts";
import { wasmBackend } from "./wasm/wasm-backend.ts";
import { webgpuBackend } from "./webgpu/webgpu-backend.ts";

export type {
  BackboneInfo,
  BackendKind,
  Features,
  LoadedBackbone,
  LoadOptions,
  Model,
  ModelInfo,
  Picture,
  PlainPicture,
  Prediction,
  PredictOptions,
  Responses,
  Source,
} from "./api.ts";
export { loadBackbone } from "./load-backbone.ts";

/**
 * A network from the file that `export` writes: its address, or its bytes.
 * @throws MODEL_INVALID, SAFETENSORS_INVALID for what is no such file, DATA_MISSING where none is; CONFIG_INVALID for
 * what no argument can be; WEBGPU_MISSING where a GPU is asked for that is not there; RUNTIME_MISSING where the CPU has
 * no WebAssembly vectors
 */
export async function load(source: Source, options: LoadOptions = {}): Promise<Model> {
  requireBackend(options);
  const bytes = await bytesOf(source);
  const exported = readExported(bytes);
  if (exported.tracking) {
    throw new BitswarmError(
      "MODEL_INVALID",
      `the ${exported.network.title} of ${exported.provenance.run} follows a target and names no classes: \`coordinator track\` follows with it, and loadBackbone in a program`,
    );
  }
  const program = lowered(exported);
  const backend = await onGpuOrCpu<Backend>(
    options.backend,
    (device) => webgpuBackend(program, device),
    () => wasmBackend(program),
  );
  return modelOf(exported, backend, bytes.length);
}

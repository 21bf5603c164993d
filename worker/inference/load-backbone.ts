// A loaded network that follows a target: what is asked of it is checked here, whoever computes.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { ExportedModel, ExportedTracking } from "../../shared/export/exported-model.ts";
import { atSide, readExported } from "../../shared/export/read-exported.ts";
import type { Backbone, Features, Responses } from "../../shared/tracking/backbone.ts";
import type { BackboneInfo, BackendKind, LoadedBackbone, LoadOptions, Source } from "./api.ts";
import { onGpuOrCpu, requireBackend } from "./gpu.ts";
import { commonInfo } from "./model.ts";
import { bytesOf } from "./source.ts";
import { WasmBackbone } from "./wasm/wasm-backbone.ts";
import { WebgpuBackbone } from "./webgpu/webgpu-backbone.ts";

/** Crops at once: a tracker takes three. */
export const MOST_CROPS = 64;

function invalid(what: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", what);
}

function infoOf(
  exported: ExportedModel,
  { exemplar, instance, context, stride }: ExportedTracking,
  backend: BackendKind,
  fileBytes: number,
): BackboneInfo {
  const common = commonInfo(exported, backend, fileBytes);
  return { ...common, exemplar, instance, context, stride, bytes: exported.sizes.bytes };
}

class CheckedBackbone implements LoadedBackbone {
  readonly info: BackboneInfo;
  readonly #model: ExportedModel;
  readonly #inner: Backbone;
  readonly #mine = new WeakSet<Features>();
  /** Sides that fit. */
  readonly #fitting = new Set<number>();
  #disposed = false;

  constructor(model: ExportedModel, info: BackboneInfo, inner: Backbone) {
    this.#model = model;
    this.info = info;
    this.#inner = inner;
  }

  #requireThere(): void {
    if (!this.#disposed) return;
    throw new BitswarmError("COMPUTE_FAILED", "this network was disposed of, and computes no more; load it again");
  }

  #requireSide(side: number): void {
    if (this.#fitting.has(side)) return;
    if (!(Number.isSafeInteger(side) && side >= 1)) {
      throw invalid(`a crop's side must be a whole number from 1 on; got ${String(side)}`);
    }
    try {
      atSide(this.#model, side);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw invalid(`crops of ${side} × ${side} do not fit the network: ${why}`);
    }
    this.#fitting.add(side);
  }

  async embed(crops: Uint8Array, n: number, side: number): Promise<Features> {
    this.#requireThere();
    if (!(Number.isSafeInteger(n) && n >= 1 && n <= MOST_CROPS)) {
      throw invalid(`crops must be from 1 to ${MOST_CROPS}; got ${String(n)}`);
    }
    this.#requireSide(side);
    if (!(crops instanceof Uint8Array) || crops.length !== n * side * side * 3) {
      const got = crops instanceof Uint8Array ? `${crops.length} bytes` : typeof crops;
      throw invalid(`${n} crops of ${side} × ${side} are a Uint8Array of ${n * side * side * 3} bytes; got ${got}`);
    }
    const features = await this.#inner.embed(crops, n, side);
    this.#mine.add(features);
    return features;
  }

  async #answered(exemplar: Features, searches: Features): Promise<Responses> {
    try {
      return await this.#inner.respond(exemplar, searches);
    } catch (cause) {
      if (cause instanceof RangeError) throw invalid("features that were released are gone; embed the crops anew");
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new BitswarmError("COMPUTE_FAILED", `the response was not computed: ${why}; load the network again`, {
        cause,
      });
    }
  }

  async respond(exemplar: Features, searches: Features): Promise<Responses> {
    this.#requireThere();
    if (!this.#mine.has(exemplar) || !this.#mine.has(searches)) {
      throw invalid("features must be those that this network's embed gave");
    }
    if (exemplar.n !== 1) throw invalid(`the exemplar must be of one crop; got features of ${exemplar.n}`);
    if (exemplar.side > searches.side) {
      throw invalid(
        `searches must be as large as the exemplar; got maps of ${searches.side} and ${exemplar.side} cells a side`,
      );
    }
    const responses = await this.#answered(exemplar, searches);
    if (responses.values.every(Number.isFinite)) return responses;
    throw new BitswarmError(
      "COMPUTE_FAILED",
      "what the network makes of this is no number: its floats are too large; get the file anew, or export an earlier checkpoint",
    );
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#inner.dispose();
  }
}

/**
 * The backbone of a tracker from the file that `export` writes: its address, or its bytes.
 * @throws MODEL_INVALID also for a network that predicts classes; else what `load` does
 */
export async function loadBackbone(source: Source, options: LoadOptions = {}): Promise<LoadedBackbone> {
  requireBackend(options);
  const bytes = await bytesOf(source);
  const model = readExported(bytes);
  const { tracking } = model;
  if (!tracking) {
    throw new BitswarmError(
      "MODEL_INVALID",
      `the ${model.network.title} of ${model.provenance.run} names classes and follows nothing; give the file to load`,
    );
  }
  // What a device refuses, or a processor has not, is known before anybody waits for a first answer.
  const tried = async <B extends Backbone>(backbone: B): Promise<B> => {
    try {
      const { exemplar } = tracking;
      const features = await backbone.embed(new Uint8Array(exemplar * exemplar * 3), 1, exemplar);
      features.release();
      return backbone;
    } catch (error) {
      backbone.dispose();
      throw error;
    }
  };
  const made = await onGpuOrCpu<{ readonly kind: BackendKind; readonly inner: Backbone }>(
    options.backend,
    async (device) => ({ kind: "webgpu", inner: await tried(new WebgpuBackbone(model, tracking, device)) }),
    async () => ({ kind: "wasm", inner: await tried(new WasmBackbone(model, tracking)) }),
  );
  return new CheckedBackbone(model, infoOf(model, tracking, made.kind, bytes.length), made.inner);
}

// A network's replica on the device in `sync: local` (DiLoCo, Douillard et al. 2023): set to the coordinator's
// parameters at each lease, taken along by inner steps without a word to the host, and compared with where it started.

import { checksumOf } from "../../kernels/steps/checksum.ts";
import type { Accumulation } from "../../shared/codecs/codec.ts";
import type { Phase } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { type Networks, wireManifest } from "../../shared/run/networks.ts";
import { answerNames, contributionLayout, metricNames, phaseLayout } from "../../shared/wire/contribution.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import { deviceRules } from "../plan/device-rules.ts";
import { type InnerStep, innerRates, RATES } from "../plan/inner-rates.ts";
import {
  leaseDifference,
  type ReplicaLayout,
  recordInnerStep,
  replicaLayout,
  replicaRefs,
  replicaStart,
} from "../plan/local-plan.ts";
import type { LocalPlan } from "../plan/plan.ts";
import { type Externals, Recording, storageBuffer } from "../plan/recording.ts";

// GPUBufferUsage and GPUMapMode; the namespace objects are missing in some runtimes.
const MAP_READ = 1;
const COPY_DST = 8;
const CHECKSUM_BYTES = 8;

export class LocalReplica {
  readonly #cache: PipelineCache;
  readonly #config: RunConfig;
  readonly #networks: Networks;
  readonly #network: string;
  readonly #layout: ReplicaLayout;
  readonly #buffers: Required<
    Pick<Externals, "origin" | "parameters" | "signs" | "moments" | "variances" | "rates" | "tally" | "checksum">
  >;
  readonly #readback: GPUBuffer;
  #start: Promise<Recording> | undefined;
  readonly #differences = new Map<string, Promise<Recording>>();
  /** What the device was sent. */
  readonly #blob: Uint8Array<ArrayBuffer>;
  #expected: readonly [number, number] | undefined;

  constructor(cache: PipelineCache, config: RunConfig, networks: Networks, network: string) {
    const { device } = cache;
    this.#cache = cache;
    this.#config = config;
    this.#networks = networks;
    this.#network = network;
    const manifest = wireManifest(networks, network);
    const metrics = metricNames(networks[network].metrics, [], answerNames(networks[network].graph));
    this.#layout = replicaLayout(manifest);
    const { blob, signs } = this.#layout;
    this.#blob = new Uint8Array(blob.bytes);
    // As if all of the network trained: a phase that trains a part of it takes less.
    const arena = 4 * contributionLayout(manifest, { trains: [{}] }, "local", metrics).size;
    const buffer = (label: string, bytes: number) => storageBuffer(device, `${network} ${label}`, bytes);
    this.#buffers = {
      origin: buffer("origin", blob.bytes),
      parameters: buffer("replica", blob.bytes),
      signs: buffer("signs", signs.bytes),
      moments: buffer("moments", arena),
      variances: buffer("variances", arena),
      rates: buffer("rates", 4 * RATES),
      tally: buffer("tally", 4 * metrics.length),
      checksum: buffer("checksum", CHECKSUM_BYTES),
    };
    this.#readback = device.createBuffer({ label: "checksum", size: CHECKSUM_BYTES, usage: MAP_READ | COPY_DST });
  }

  /** What the plan of a microbatch of n needs to know of the replica. */
  plan(phase: Phase, n: number): LocalPlan {
    const layout = phaseLayout(this.#networks, phase, "local");
    const parameter = replicaRefs(this.#layout);
    if (phase.evaluate) return { layout, parameter };
    const { method, latent: layers } = this.#networks[this.#network];
    const options = this.#config.method;
    const latent = layers.length > 0 ? { rule: deviceRules.get(method.kind), options, layers } : undefined;
    return {
      layout,
      parameter,
      spend: (list) => recordInnerStep(list, this.#layout, layout, n, this.#config, latent),
    };
  }

  /** What a recording binds of it. */
  get externals(): Externals {
    return this.#buffers;
  }

  /** Takes parameters that the coming leases start from: bytes of the network's blob from `offset` on. */
  load(bytes: Uint8Array, offset: number): void {
    this.#blob.set(bytes, offset);
    this.#expected = undefined;
    this.#cache.device.queue.writeBuffer(this.#buffers.origin, offset, Uint8Array.from(bytes));
  }

  /** Sends all that was loaded to the device once more. */
  reload(): void {
    this.#cache.device.queue.writeBuffer(this.#buffers.origin, 0, this.#blob);
  }

  /** Sets the replica to the parameters loaded, and the inner optimizer to its beginning. */
  async begin(): Promise<void> {
    const { device } = this.#cache;
    const { origin, parameters, moments, variances, tally, checksum } = this.#buffers;
    this.#start ??= Recording.create(this.#cache, replicaStart(this.#layout), this.#buffers);
    const start = await this.#start;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(origin, 0, parameters, 0, origin.size);
    for (const buffer of [moments, variances, tally, checksum]) encoder.clearBuffer(buffer);
    start.encode(encoder);
    device.queue.submit([encoder.finish()]);
  }

  /** Sets the rates of the step that is submitted next. */
  step(inner: InnerStep): void {
    this.#cache.device.queue.writeBuffer(this.#buffers.rates, 0, innerRates(this.#config, inner));
  }

  /** Leaves the lease's difference in the round's sum. @param round the round's buffers */
  async end(phase: Phase, round: Externals, how: Accumulation): Promise<void> {
    const key = `${phase.name}/${how}`;
    let difference = this.#differences.get(key);
    if (!difference) {
      const list = leaseDifference(this.#layout, this.plan(phase, 1).layout, how);
      difference = Recording.create(this.#cache, list, { ...round, ...this.#buffers });
      this.#differences.set(key, difference);
    }
    const recording = await difference;
    const encoder = this.#cache.device.createCommandEncoder();
    recording.encode(encoder);
    this.#cache.device.queue.submit([encoder.finish()]);
  }

  /** Whether the replica that the lease began with was what was loaded, word for word; waits for the device. */
  async intact(): Promise<boolean> {
    const { device } = this.#cache;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.#buffers.checksum, 0, this.#readback, 0, CHECKSUM_BYTES);
    device.queue.submit([encoder.finish()]);
    await this.#readback.mapAsync(MAP_READ);
    const [plain, placed] = new Uint32Array(this.#readback.getMappedRange().slice(0));
    this.#readback.unmap();
    this.#expected ??= checksumOf(new Uint32Array(this.#blob.buffer));
    return plain === this.#expected[0] && placed === this.#expected[1];
  }

  destroy(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.destroy();
    this.#readback.destroy();
  }
}

// Vectors of contributions: one lease's sums in every codec, as body and as frame.

import { rng } from "../../../shared/base/rng.ts";
import { codecs } from "../../../shared/codecs/codecs.ts";
import type { Manifest } from "../../../shared/model/manifest.ts";
import { contributionLayout, metricNames } from "../../../shared/wire/contribution.ts";
import { encodeBody } from "../../../shared/wire/contribution-body.ts";
import { encodeContributionFrame } from "../../../shared/wire/contribution-payload.ts";
import { wireLayout } from "../../../shared/wire/wire-layout.ts";
import { base64, hex } from "../text.ts";
import { RUN_TAG } from "./run.ts";

const initial = { kind: "constant", value: 0 } as const;
/** A wide tensor between two that are not, and sizes that are no multiples of 64. */
const manifest: Manifest = {
  entries: [
    { name: "bn1.weight", role: "float", shape: [5], initial, layer: "batchnorm" },
    { name: "conv2.weight", role: "latent", shape: [6, 3, 3, 20], initial, layer: "rbconv" },
    { name: "bn2.running_mean", role: "statistic", shape: [6], initial, layer: "batchnorm" },
  ],
};
const samples = 8;
const parametersHash = "ab".repeat(32);
/** Of the samples that the lease decoded, as if they had it. */
const CHECKSUM = 0x89ab_cdef;
const kinds = ["exact", "f32", "f16", "int8", "sign"] as const;

export function contributions() {
  const layout = contributionLayout(manifest, { trains: [{}] }, "allreduce", metricNames(["top1", "top5"]));
  // Of metrics and statistics 2^-12 and 2^-10; of the two gradients what eight samples of this size might have.
  const exponents = [-20, -18, -10, -12];
  const draws = rng("vectors", "contribution");
  const arena = new Float32Array(layout.size);
  const residual = new Float32Array(wireLayout(layout, "sign").wide);
  layout.tensors.forEach(({ offset, size, kind }, index) => {
    const scale = kind === "gradient" ? 2 ** (exponents[index] + 18) : 4;
    for (let i = 0; i < size; i++) {
      // One block of the wide tensor is zero.
      const value =
        index === 1 && i >= 128 && i < 192
          ? 0
          : scale * (kind === "gradient" ? 2 * draws.uniform() - 1 : draws.uniform());
      arena[offset + i] = value;
    }
  });
  for (let i = 0; i < 1080; i++) residual[i] = draws.uniform() - 0.5;
  const peaks = Float32Array.from(layout.tensors, ({ offset, size }) =>
    arena.subarray(offset, offset + size).reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
  const units = Int32Array.from(arena, (value, i) => {
    const unit = 2 ** exponents[layout.segments[i >> 6]];
    // Ties are none among these draws.
    return Math.round(value / unit);
  });
  return {
    run: RUN_TAG,
    round: 12,
    lease: 34,
    samples,
    parametersHash,
    exponents,
    tensors: layout.tensors.map(({ name, kind, offset, size, wide }) => ({ name, kind, offset, size, wide })),
    elements: layout.size,
    arena: base64(arena),
    units: base64(units),
    peaks: base64(peaks),
    checksum: CHECKSUM,
    codecs: kinds.map((kind) => {
      const wire = wireLayout(layout, kind);
      const left = residual.slice();
      const sum = codecs.get(kind).accumulate === "exact" ? units : arena;
      const words = new Uint8Array(sum.slice().buffer);
      const { body, means } = encodeBody({ wire, sum: words, exponents, samples, residual: () => left });
      const said = peaks.slice();
      for (const [index, mean] of means) said[index] = mean;
      const header = {
        kind: "contribution",
        codec: kind,
        round: 12,
        lease: 34,
        samples,
        tensors: said.length,
      } as const;
      const parts = { peaks: new Uint32Array(said.buffer), checksum: CHECKSUM, body };
      const frame = encodeContributionFrame({ ...header, run: RUN_TAG, parametersHash }, parts);
      return {
        codec: kind,
        order: wire.tensors.map(({ name, at }) => [name, at]),
        peaks: base64(said),
        ...(wire.codec.coding ? { body: base64(body) } : { bodyIs: kind === "exact" ? "units" : "arena" }),
        header: hex(frame.subarray(0, 80)),
        frameBytes: frame.length,
        ...(kind === "sign" ? { residualBefore: base64(residual), residualAfter: base64(left) } : {}),
      };
    }),
  };
}

// One binary layer, forward and forward with backward: the popcount kernels against floats that play at being bits.

import { rng } from "../../../shared/base/rng.ts";
import { outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import type { BenchDevice } from "../bench-device.ts";
import type { Emit } from "../line.ts";
import { type RaceOptions, race } from "../race.ts";
import type { Stopwatch } from "../stopwatch.ts";
import { relativeError, reportAgreement } from "./agreement.ts";
import { ourLayer } from "./ours.ts";
import type { LayerData, LayerRun, Peer } from "./peer.ts";

/** Sums of some thousand roundings of 24 bits. */
const TOLERANCE = 1e-4;

function layerData(shape: WindowShape): LayerData {
  const { n, h, w, in: input, out, kernel } = shape;
  const normal = (name: string, length: number, deviation: number) => {
    const draws = rng(0, "bench", name);
    return Float32Array.from({ length }, () => deviation * draws.normal());
  };
  return {
    shape,
    x: normal("x", n * h * w * input, 1),
    w: normal("w", out * kernel * kernel * input, 0.3),
    c: normal("c", kernel * kernel, 1),
    dy: normal("dy", n * outputHeight(shape) * outputWidth(shape) * out, 1),
  };
}

export async function compareLayer(
  bench: BenchDevice,
  watch: Stopwatch,
  shape: WindowShape,
  peers: readonly Peer[],
  options: RaceOptions,
  emit: Emit,
): Promise<void> {
  const name = `binary layer ${shape.in}-${shape.out}, ${shape.n}x${shape.h}x${shape.w}`;
  const data = layerData(shape);
  const ours = await ourLayer(bench, watch, data);
  const others: { readonly peer: Peer; readonly run: LayerRun }[] = [];
  for (const peer of peers) others.push({ peer, run: await peer.layer(data) });
  try {
    const expected = await ours.results();
    for (const { peer, run } of others) {
      const actual = await run.results();
      for (const tensor of ["y", "dx", "dw"] as const) {
        const error = relativeError(expected[tensor], actual[tensor]);
        await reportAgreement({ name, library: peer.name, tensor, tolerance: TOLERANCE }, error, emit);
      }
    }
    const contestants = (of: "forward" | "forwardBackward") => [
      { name: "bitswarm", run: ours[of] },
      ...others.map(({ peer, run }) => ({ name: peer.name, run: run[of] })),
    ];
    const float = { name: "bitswarm float", run: ours.floatForward };
    await race(`${name} forward`, [...contestants("forward"), float], options, emit);
    await race(`${name} forward and backward`, contestants("forwardBackward"), options, emit);
  } finally {
    ours.dispose();
    for (const { run } of others) run.dispose();
  }
}

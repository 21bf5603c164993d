// One training step of a small 1-bit network: student forward, task loss, backward to every trained parameter.

import type { BenchDevice } from "../bench-device.ts";
import type { Emit } from "../line.ts";
import { type Contestant, type RaceOptions, race } from "../race.ts";
import type { StepCase } from "../step-cases.ts";
import type { Stopwatch } from "../stopwatch.ts";
import { relativeError, reportAgreement } from "./agreement.ts";
import { ourNetwork } from "./ours.ts";
import type { NetworkData, NetworkResults, NetworkRun, Peer } from "./peer.ts";

const LOSS_TOLERANCE = 1e-3;
/** An activation next to zero whose sign another order of summation turns changes whole gradients a little. */
const GRADIENT_TOLERANCE = 0.05;

async function reportNetwork(name: string, library: string, a: NetworkResults, b: NetworkResults, emit: Emit) {
  const loss = { name, library, tensor: "loss", tolerance: LOSS_TOLERANCE };
  await reportAgreement(loss, relativeError([a.loss], [b.loss]), emit);
  const all = (of: NetworkResults) => [...a.gradients.keys()].flatMap((key) => Array.from(of.gradients.get(key) ?? []));
  const gradients = { name, library, tensor: "all gradients", tolerance: GRADIENT_TOLERANCE };
  await reportAgreement(gradients, relativeError(all(a), all(b)), emit);
}

/** @param gan the same network with its teacher and discriminators, which no peer has: timed beside them */
export async function compareNetwork(
  bench: BenchDevice,
  watch: Stopwatch,
  plain: StepCase,
  gan: StepCase,
  peers: readonly Peer[],
  options: RaceOptions,
  emit: Emit,
): Promise<void> {
  const { name } = plain;
  const ours = await ourNetwork(bench, watch, plain);
  const whole = await ourNetwork(bench, watch, gan);
  const { graph, manifest } = plain.networks.student;
  const { image, label } = ours.prepared.decode();
  const [images, labels] = [Float32Array.from(image), Uint32Array.from(label)];
  const data: NetworkData = { graph, manifest, parameters: ours.prepared.parameters, n: plain.n, images, labels };
  const others: { readonly peer: Peer; readonly run: NetworkRun }[] = [];
  try {
    const expected = await ours.results();
    for (const peer of peers) {
      try {
        const run = await peer.network(data);
        await reportNetwork(name, peer.name, expected, await run.results(), emit);
        others.push({ peer, run });
      } catch (error) {
        await emit({ record: "note", text: `${peer.name} does not run ${name}: ${error}` });
      }
    }
    const contestants: readonly Contestant[] = [
      { name: "bitswarm", run: ours.step },
      ...others.map(({ peer, run }) => ({ name: peer.name, run: run.step })),
      { name: "bitswarm with discriminators", run: whole.step },
    ];
    await race(`${name}, one step`, contestants, options, emit);
  } finally {
    ours.dispose();
    whole.dispose();
    for (const { run } of others) run.dispose();
  }
}

// Small worlds of every kind, drawn from a seed: a few volunteers, a few steps, and any mixture of faults, cuts and
// liars.

import { rng } from "../../shared/base/rng.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import { misdeeds, parseScenario, type Scenario } from "./scenario.ts";

/** Most worlds have sums that can be told to the unit. */
const drawn = ["exact", "exact", "exact", "f32", "f16", "int8", "sign"] as const;
const exactClips = ["auto", "none"] as const;
const clips = ["auto", "none", "norm", "trimmed-mean", "centered-clip"] as const;
const smallest = [1, 1, 1] as const;
/** Two of its tensors are wide enough to be coded. */
const wide = [4, 16, 64] as const;
/** Its contributions travel in chunks with every codec: the normalisations' many parameters are coded by none. */
const long = [4500, 1, 8192] as const;

/** The world of a seed. At least one volunteer in it is honest. */
export function variedScenario(seed: number): Scenario {
  const draws = rng(seed, "simulate", "varied");
  const oneOf = <T>(values: readonly T[]): T => values[draws.below(values.length)];
  const sometimes = <T, U>(chance: number, value: () => T, otherwise: U): T | U =>
    draws.uniform() < chance ? value() : otherwise;
  const upTo = (most: number) => most * draws.uniform();
  // With the GAN a teacher comes first, and with the BN phase one after each epoch.
  const ablation = oneOf([...Array<"R">(10).fill("R"), "R+G", "R+G+B"]);
  const gan = ablation !== "R";
  const widths = oneOf([...Array<typeof smallest>(5).fill(smallest), wide, wide, gan ? smallest : long]);
  // Discriminators and long layers travel in chunks, for some seconds, and such worlds are the smallest.
  const large = gan || widths === long;
  const volunteers = 3 + draws.below(large ? 4 : 10);
  const stepSeconds = oneOf(large ? [1, 3] : [1, 3, 10]);
  const steps = 2 + draws.below(large ? 2 : 4);
  const horizon = 3 * steps * stepSeconds;
  const timeoutMs = Math.round(1000 * stepSeconds * (2 + upTo(4))) + (large ? 30_000 : 0);
  const codec = oneOf(widths === long ? codecs.kinds : drawn);
  const liar = () => ({ [oneOf(misdeeds)]: 1 / volunteers });
  const evil = () => ({ lose: upTo(0.02), duplicate: upTo(0.02), reorder: upTo(0.02), corrupt: upTo(0.05) });
  // Drawn apart, so that worlds of raw shards are what they were.
  const dataDraws = rng(seed, "simulate", "varied", "data");
  const chunk = [0, 1, 4, 8][dataDraws.below(4)];
  const kept = dataDraws.uniform();
  const affinity = dataDraws.below(4) > 0;
  return parseScenario(
    {
      name: "varied",
      volunteers,
      steps,
      stepSeconds,
      passes: 1 + draws.below(2),
      microbatch: oneOf([5, 16, 32]),
      joinSeconds: oneOf([0, stepSeconds, 2 * stepSeconds]),
      speed: { slowest: 20, spread: oneOf([1, 5, 30]), jitter: upTo(0.3) },
      stalls: { share: sometimes(0.4, () => upTo(0.3), 0), seconds: [stepSeconds, 4 * stepSeconds] },
      drops: { share: sometimes(0.4, () => upTo(0.5), 0), awaySeconds: [0, stepSeconds] },
      churn: {
        leaves: sometimes(0.3, () => upTo(0.1), 0),
        deaths: sometimes(0.3, () => upTo(0.1), 0),
        replacedAfterSeconds: [0, 3 * stepSeconds],
      },
      link: {
        latencyMs: [1, oneOf([20, 300])],
        uploadMbps: [1, 20],
        downloadMbps: [5, 50],
        payloadScale: oneOf([1, 1, widths === smallest && !gan ? 50 : 1]),
        evil: sometimes(0.2, evil, {}),
      },
      partitions: sometimes(
        0.3,
        () => [{ atSeconds: upTo(horizon), seconds: upTo(3 * stepSeconds), share: upTo(1) }],
        [],
      ),
      restarts: sometimes(0.3, () => [{ atSeconds: upTo(horizon), downSeconds: upTo(stepSeconds) }], []),
      data: { chunk, kept },
      liars: sometimes(0.4, () => ({ ...liar(), ...liar() }), {}),
      run: {
        codec,
        sync: { kind: oneOf(["allreduce", "allreduce", "local"]) },
        method: { ablation },
        teacher: { epochs: 1 },
        adversarial: { warmupEpochs: draws.below(2) },
        bnPhase: oneOf([0.3, 1]),
        model: { kind: "lenet", widths },
        trust: { clip: oneOf(codecs.get(codec).exactSums ? exactClips : clips) },
        heartbeatMs: 5000,
        lease: { timeoutMs, maxMicrobatches: oneOf([8, 64]), affinity },
        checkpoint: { everySteps: oneOf([1, 2, 4]) },
      },
    },
    `varied scenario ${seed}`,
  );
}

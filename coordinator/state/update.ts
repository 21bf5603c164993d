// One optimizer step from one round's sum (methods/README.md): the surrogate and L_Kernel are applied here, where W is,
// to the aggregated ∂L/∂Ŵ.

import { type ParameterEntry, statisticNames } from "../../shared/model/manifest.ts";
import { type AdamOptions, adamStep, glorotFactor, sgdStep } from "../../shared/model/optimizer.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import { runningStatistic } from "../../shared/model/running-statistic.ts";
import { wireManifest } from "../../shared/run/networks.ts";
import type { StepPlace } from "../../shared/run/program.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { comparedLosses } from "../../shared/wire/contribution.ts";
import { parameter } from "../../shared/wire/parameter-blob.ts";
import type { RoundSum } from "../sum/aggregate.ts";
import { fourAxes } from "./axis-order.ts";
import { recordPeaks } from "./exponents.ts";
import { type LatentStep, latentGradientsOf } from "./latent-gradients.ts";
import { deriveCompanions, latentLayerOf, settleLayer } from "./latent-layers.ts";
import { euclidean, type GradientNorms, isMeasured, type LayerNumbers, layerNumbersOf } from "./layer-numbers.ts";
import { learningRateAt } from "./learning-rate.ts";
import { outerStep } from "./outer-step.ts";
import { bufferName, bufferOf, secondMomentOf } from "./parameter-buffers.ts";
import { beginPass, parametersChanged, partnersChanged, type TrainingState } from "./training-state.ts";

/**
 * Parts of the objective, means over the step's samples, before the update: those of the phase's losses, a method's own
 * by the names that it gives them (RBCN's `kernel`), and `discriminator` beside `adversarial`; the total is weighted as
 * the pass says. Terms against another network (soft targets, maps, a twin's own) have their weights already.
 */
export type StepLoss = {
  readonly task: number;
  readonly total: number;
  readonly [part: string]: number;
};

/** What a step says of the samples that it was made of. */
export interface StepResult {
  readonly loss: StepLoss;
  /** The task's score, of the network before the update. */
  readonly score: number;
  /** What the step did to each layer; absent where it was not measured. */
  readonly layers?: LayerNumbers;
}

/** Everything that a parameter's update takes beside itself. */
interface Update {
  readonly state: TrainingState;
  readonly network: string;
  readonly rate: number;
  readonly sum: RoundSum;
  readonly latent: LatentStep;
  /** Takes the norms of gradients, in a step that is measured. */
  readonly norms?: GradientNorms | undefined;
}

function updateParameter(entry: ParameterEntry, { state, network, rate, sum, latent, norms }: Update): void {
  const { name, role } = entry;
  const { optimizer, adversarial } = state.config;
  const value = parameter(state.parameters[network], name);
  const buffer = bufferName(state.program, network, name);
  const gradient = latent.gradients.get(name) ?? sum.mean(name);
  norms?.set(name, euclidean(gradient));
  const sgd = (learningRate: number, weightDecay: number) => {
    const momentum = bufferOf(state.momentum, buffer, value);
    sgdStep(value, gradient, momentum, { learningRate, momentum: optimizer.momentum, weightDecay, nesterov: false });
  };
  const adam = (options: AdamOptions) => {
    const [first, second] = [state.adamFirst, state.adamSecond].map((buffers) => bufferOf(buffers, buffer, value));
    adamStep(value, gradient, first, second, state.adamStep, options);
  };
  switch (role) {
    case "latent":
      if (optimizer.latent.kind === "sgd") sgd(rate, optimizer.latentWeightDecay);
      else {
        const { rate: share, glorot, beta1, beta2 } = optimizer.latent;
        const learningRate = rate * share * (glorot ? glorotFactor(fourAxes(entry.shape)) : 1);
        adam({ learningRate, betas: [beta1, beta2], weightDecay: optimizer.latentWeightDecay });
      }
      return;
    case "learned":
      learnCompanion(entry, gradient, rate * (entry.rate ?? optimizer.rectifierRate), { state, network }, sgd);
      return;
    case "float":
      sgd(rate, optimizer.weightDecay);
      return;
    case "statistic":
      for (const batch of statisticNames(entry)) value.set(runningStatistic(value, sum.mean(batch)));
      return;
    case "critic":
      adam({ learningRate: adversarial.learningRate, betas: [adversarial.beta1, adversarial.beta2] });
      return;
    case "derived":
    case "state":
      throw new RangeError(`${name} is ${role}: no gradient moves it`);
    default:
      role satisfies never;
  }
}

/** A companion's step: the method's own, or SGD. */
function learnCompanion(
  { initial }: ParameterEntry,
  gradient: Float64Array,
  learningRate: number,
  { state, network }: Pick<Update, "state" | "network">,
  sgd: (learningRate: number, weightDecay: number) => void,
): void {
  const { method, latent } = state.networks[network];
  const own = initial.kind === "companion" ? method.rule?.learn?.[initial.name] : undefined;
  const entries = latent.find(({ weight }) => initial.kind === "companion" && weight.name === initial.of);
  if (!own || !entries) sgd(learningRate, 0);
  else own(latentLayerOf(state.parameters[network], entries), gradient, learningRate);
}

function stepLoss(state: TrainingState, place: StepPlace, sum: RoundSum, losses: LatentStep["losses"]): StepLoss {
  const metrics = sum.metrics();
  const { task, adversarial, discriminator } = metrics;
  const { phase, weights } = place.pass;
  const parts: Record<string, number> = {};
  let total = 0;
  const add = (weight: number, part: string, loss: number) => {
    parts[part] = loss;
    total += weight * loss;
  };
  const described = phaseNamed(state.program, phase);
  // They are measured times their weights.
  const compared = comparedLosses(described);
  for (const { kind } of described.losses) {
    const weight = weights[kind];
    if (kind === "task") add(weight, kind, task);
    if (kind === "method") for (const [part, loss] of Object.entries(losses)) add(weight, part, loss);
    if (compared.includes(kind)) add(1, kind, metrics[kind]);
    if (kind !== "adversarial") continue;
    add(weight, kind, adversarial);
    // What the critics lose is beside the objective, and no part of its total.
    parts.discriminator = discriminator;
  }
  return { task, ...parts, total };
}

/**
 * Applies the sum of the round at `place`, which must be the state's next step: parameters, optimizer buffers, running
 * statistics, units and the step change; returns the step's losses and score. A sum of no samples is a RangeError.
 */
export function applyRound(state: TrainingState, place: StepPlace, sum: RoundSum): StepResult {
  const { phase, network, firstStep, steps } = place.pass;
  if (sum.samples === 0) throw new RangeError(`step ${state.step}: a sum of no samples makes no step`);
  if (state.step < firstStep || state.step >= firstStep + steps) {
    throw new RangeError(
      `step ${state.step} is outside pass ${place.pass.index}, steps ${firstStep} to ${firstStep + steps - 1}`,
    );
  }
  const manifest = wireManifest(state.networks, network);
  const latent = latentGradientsOf(state, network, sum);
  const loss = stepLoss(state, place, sum, latent.losses);
  const score = tasks.get(state.config.task.kind).score.of(sum.metrics());
  const entries = manifest.entries.filter((entry) => sum.has(entry.name) || latent.gradients.has(entry.name));
  const discriminators = entries.some((entry) => entry.role === "critic");
  const ownNetwork = state.networks[network];
  const values = state.parameters[network];
  const moved = ownNetwork.latent.filter(({ weight }) => sum.has(weight.name));
  const norms: GradientNorms | undefined = isMeasured(state.step + 1, state.program.steps) ? new Map() : undefined;
  const previous = new Map(
    norms || ownNetwork.method.rule?.readsPrevious
      ? moved.map(({ weight: { name } }) => [name, parameter(values, name).slice()])
      : [],
  );
  const { sync, optimizer } = state.config;
  const latentAdam = optimizer.latent.kind === "adam";
  switch (sync.kind) {
    case "allreduce": {
      const rate = learningRateAt(state.config, state.program, state.step);
      if (discriminators || (latentAdam && latent.gradients.size > 0)) state.adamStep += 1;
      for (const entry of entries) updateParameter(entry, { state, network, rate, sum, latent, norms });
      break;
    }
    case "local":
      // The differences hold what L_Kernel did already: of `latent` only its loss counts here.
      outerStep(state, network, entries, sum, sync.outer, norms);
      break;
    default:
      sync satisfies never;
  }
  for (const layer of moved) settleLayer(ownNetwork, values, layer, previous.get(layer.weight.name));
  deriveCompanions(ownNetwork, values, moved, (weight) => secondMomentOf(state, network, weight));
  const layers = norms && layerNumbersOf({ metrics: sum.metrics(), entries, norms, moved, previous, values });
  recordPeaks(state, phase, sum);
  parametersChanged(state, network);
  partnersChanged(state, phaseNamed(state.program, phase).partners);
  state.step += 1;
  beginPass(state);
  return { loss, score, ...(layers && { layers }) };
}

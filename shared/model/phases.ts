// What a run does, as data: networks by name, and the phases that train or test them. A method writes these lists, the
// welcome carries them, and everything else reads them: nobody beside the method knows a phase or a network by its
// name.

import { z } from "zod";
import { BitswarmError } from "../base/errors.ts";
import type { ParameterEntry } from "./manifest.ts";

/**
 * A name that leases, logs and checkpoints use; it begins with a letter or a digit, so it is never a field of
 * JavaScript's own.
 */
const word = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9][\w.-]*$/);
const title = z.string().min(1).max(200);

/** Parameters that travel with a network under a hash of their own, and are trained with it. */
export const partnerSchema = z.strictObject({
  name: word,
  /** `discriminators`: one for each map that the network compares. `twin`: the same network in full precision. */
  kind: z.enum(["discriminators", "twin"]),
});

export const networkPlanSchema = z.strictObject({
  name: word,
  /** As people call it: "1-bit network". */
  title,
  /** `method`: its layers are the method's; `full`: plain convolutions. */
  precision: z.enum(["full", "method"]),
  /** Laid over the method's options where precision is `method`: stages with other bits are networks of their own. */
  options: z.record(word, z.unknown()).optional(),
  /** Options of a model of its own, of a full-precision network; the run's `model` unless given. */
  model: z.looseObject({ kind: word }).optional(),
  partners: z.array(partnerSchema).max(8),
  /** Where its parameters are from, instead of a phase that trains them. */
  file: z.string().optional(),
  /** A network whose parameters it starts from when its first phase begins. */
  startsFrom: word.optional(),
});

/** Parameters that train: those of these roles and of layers with these ops; all of either where it is not given. */
export const selectionSchema = z.strictObject({
  roles: z.array(word).min(1).optional(),
  layers: z.array(word).min(1).optional(),
  /** Share of a tensor's elements that the method has frozen by the phase's end (INQ). */
  portion: z.number().min(0).max(1).optional(),
});

/** A term of the objective. */
export const lossSchema = z.strictObject({
  kind: word,
  /** A pass may have another (`Pass.weights`). */
  weight: z.number().min(0),
  /** The frozen network that it compares with, one of the phase's needs. */
  teacher: word.optional(),
  /** The partner that it trains, or trains against, one of the phase's. */
  partner: word.optional(),
  /** What else it takes, in numbers: a temperature. */
  options: z.record(word, z.number()).optional(),
});

export const phaseSchema = z.strictObject({
  name: word,
  /** As the status calls it: "1-bit student". */
  title,
  /** What a volunteer's machine does in it: "training the 1-bit network". */
  doing: title,
  network: word,
  /** What a round sends gradients of; nothing where it only counts. */
  trains: z.array(selectionSchema).max(16),
  /** The network's partners that take part. */
  partners: z.array(word).max(8),
  /** Networks that it runs forward and does not change. */
  needs: z.array(word).max(8),
  losses: z.array(lossSchema).min(1).max(16),
  /** Counts right answers on the held-out split, and trains nothing. */
  evaluate: z.boolean(),
  /** At the schedule's top; null where nothing trains. */
  learningRate: z.number().positive().nullable(),
  /** What the method reads of the phase, in numbers: bits of activations. */
  settings: z.record(word, z.number()).optional(),
});

/** The networks and phases of a run, without the passes over its data. */
export const outlineSchema = z.strictObject({
  /** The network that the run is for: the one that is exported. */
  primary: word,
  networks: z.array(networkPlanSchema).min(1).max(16),
  phases: z.array(phaseSchema).min(1).max(64),
});

export type Partner = z.output<typeof partnerSchema>;
export type NetworkPlan = z.output<typeof networkPlanSchema>;
export type Selection = z.output<typeof selectionSchema>;
export type Loss = z.output<typeof lossSchema>;
export type Phase = z.output<typeof phaseSchema>;
export type Outline = z.output<typeof outlineSchema>;

/** One pass over the training data, as a method plans it: without the number of samples. */
export interface PassPlan {
  readonly phase: string;
  /** Within the phase, from 0. */
  readonly epoch: number;
  /** Of the training samples, above 0, at most 1; 1 unless given. */
  readonly share?: number;
  /** Weights of losses that differ from the phase's in this pass, by kind. */
  readonly weights?: Readonly<Record<string, number>>;
  /** The network is evaluated on the held-out samples after this pass. */
  readonly evaluate: boolean;
}

/** What a method's `phases` gives for a configuration. */
export interface MethodProgram {
  readonly outline: Outline;
  readonly passes: readonly PassPlan[];
}

/** @throws RangeError for a name that is not the outline's */
export function phaseNamed({ phases }: Pick<Outline, "phases">, name: string): Phase {
  const phase = phases.find((one) => one.name === name);
  if (!phase) throw new RangeError(`no phase named ${name}; there are ${phases.map((one) => one.name).join(", ")}`);
  return phase;
}

/** @throws RangeError for a name that is not the outline's */
export function networkPlanNamed({ networks }: Pick<Outline, "networks">, name: string): NetworkPlan {
  const plan = networks.find((one) => one.name === name);
  if (!plan) throw new RangeError(`no network named ${name}; there are ${networks.map((one) => one.name).join(", ")}`);
  return plan;
}

/** The phase that tests a network; undefined for one that is never tested. */
export function evaluationOf({ phases }: Pick<Outline, "phases">, network: string): Phase | undefined {
  return phases.find((phase) => phase.evaluate && phase.network === network);
}

/** A phase that tests a network on the held-out split. */
export function evaluationPhase({ name, title: titleOfNetwork }: NetworkPlan): Phase {
  return {
    name: `evaluate-${name}`,
    title: `evaluating the ${name}`,
    doing: `testing the ${titleOfNetwork} on held-out images`,
    network: name,
    trains: [],
    partners: [],
    needs: [],
    losses: [{ kind: "task", weight: 1 }],
    evaluate: true,
    learningRate: null,
  };
}

/** Whether a phase trains a parameter; batch statistics follow wherever anything trains. */
export function trainsEntry({ trains }: Pick<Phase, "trains">, { role, layer }: ParameterEntry): boolean {
  if (trains.length === 0) return false;
  if (role === "statistic") return true;
  return trains.some(({ roles, layers }) => (roles?.includes(role) ?? true) && (layers?.includes(layer) ?? true));
}

/** The networks that some phase runs forward without changing them. */
export function frozenNetworks({ phases }: Pick<Outline, "phases">): readonly string[] {
  return [...new Set(phases.flatMap(({ needs }) => needs))];
}

function doubles(names: readonly string[]): readonly string[] {
  return names.filter((name, i) => names.indexOf(name) !== i);
}

function phaseProblems(phase: Phase, outline: Outline): string[] {
  const { name, network, partners, needs, losses, trains, evaluate, learningRate } = phase;
  const plan = outline.networks.find((one) => one.name === network);
  if (!plan) return [`phase ${name}: there is no network ${network}`];
  const known = (what: string, names: readonly string[], wanted: readonly (string | undefined)[]) =>
    wanted
      .filter((one) => one !== undefined && !names.includes(one))
      .map((one) => `phase ${name}: ${what} ${one} is none of ${names.join(", ") || "nothing"}`);
  const others = outline.networks.map((one) => one.name).filter((one) => one !== network);
  return [
    ...known(
      `partner`,
      plan.partners.map((one) => one.name),
      partners,
    ),
    ...known("need", others, needs),
    ...losses.flatMap((loss) => [
      ...known(`the ${loss.kind} loss's teacher`, needs, [loss.teacher]),
      ...known(`the ${loss.kind} loss's partner`, partners, [loss.partner]),
    ]),
    ...doubles(losses.map(({ kind }) => kind)).map((kind) => `phase ${name}: has two ${kind} losses`),
    ...(evaluate === trains.length > 0
      ? [`phase ${name}: a phase either trains something or evaluates; this one has ${trains.length} selections`]
      : []),
    ...(evaluate === (learningRate !== null)
      ? [`phase ${name}: has a learning rate where it trains, and only there; got ${learningRate}`]
      : []),
  ];
}

/**
 * Lists that mean something: every name that is used is there, and there once.
 * @throws CONFIG_INVALID with all that is wrong
 */
export function checkOutline(outline: Outline): Outline {
  const { primary, networks, phases } = outline;
  const names = networks.map(({ name }) => name);
  const sets = networks.flatMap(({ name, partners }) => [name, ...partners.map((one) => one.name)]);
  const problems = [
    ...doubles(sets).map((name) => `two networks or partners are named ${name}`),
    ...doubles(phases.map(({ name }) => name)).map((name) => `two phases are named ${name}`),
    ...(names.includes(primary) ? [] : [`the primary network ${primary} is none of ${names.join(", ")}`]),
    ...networks.flatMap(({ name, startsFrom }) =>
      startsFrom === undefined || (startsFrom !== name && names.includes(startsFrom))
        ? []
        : [`network ${name} starts from ${startsFrom}, which is no other network`],
    ),
    ...phases.flatMap((phase) => phaseProblems(phase, outline)),
    ...doubles(phases.filter(({ evaluate }) => evaluate).map(({ network }) => network)).map(
      (network) => `two phases evaluate ${network}`,
    ),
  ];
  if (problems.length === 0) return outline;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `The run's program is not valid:\n${problems.map((one) => `  ${one}`).join("\n")}`,
  );
}

// The run's configuration: every field, its default and its meaning. Unknown keys are refused, so a typing error never
// trains silently.

import { z } from "zod";
import { BitswarmError } from "../base/errors.ts";
import { optionsUnion, Registry } from "../base/registry.ts";
import { codecKind, codecs } from "../codecs/codecs.ts";
import { DEFAULT_DATA, dataKinds, dataSchema } from "../data/data-kinds.ts";
import { askedOfMethod, methodFields } from "../model/methods/method.ts";
import { DEFAULT_METHOD, methods } from "../model/methods/methods.ts";
import { DEFAULT_MODEL, DEFAULT_TEACHER_MODEL, models } from "../model/networks/models.ts";
import { DEFAULT_OBJECTIVE, objectives } from "../model/objectives/objectives.ts";
import { DEFAULT_TASK, tasks } from "../tasks/tasks.ts";
import {
  MOST_BATCH,
  MOST_CHANNELS,
  MOST_CHECKPOINTS,
  MOST_CONTACT,
  MOST_DESCRIPTION,
  MOST_EPOCHS,
  MOST_FACTOR,
  MOST_HEARTBEAT_MS,
  MOST_HELD_MIB,
  MOST_LEASE_MICROBATCHES,
  MOST_MICROBATCH,
  MOST_MILESTONES,
  MOST_MS,
  MOST_PATH,
  MOST_PER_ADDRESS,
  MOST_PIECES,
  MOST_STEPS,
  MOST_URL,
  MOST_WORKERS,
} from "./config-limits.ts";
import { configProblems } from "./config-problems.ts";

const positive = z.number().positive().max(MOST_FACTOR);
const nonNegative = z.number().min(0).max(MOST_FACTOR);
const upTo = (most: number) => z.number().int().positive().max(most);
/** Per channel, of pixels in [0, 1]. */
const normalisation = z.array(z.number().min(0).max(1)).min(1).max(MOST_CHANNELS).optional();
/** Characters that are seen, and ends of lines. */
const plain = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^[^\p{Cc}\p{Cs}]*(?:\n[^\p{Cc}\p{Cs}]*)*$/u, "must be plain text")
    .default("");
const warmupSteps = z.number().int().min(0).max(MOST_STEPS).default(0);

/** A union whose objects without a `kind` are of the default kind, so that `--set model.widths=…` alone is enough. */
function kindOr<T extends z.ZodType>(kind: string, union: T) {
  return z.preprocess((value) => {
    const plain = typeof value === "object" && value !== null && !Array.isArray(value);
    return plain && !("kind" in value) ? { kind, ...value } : value;
  }, union);
}

const scheduleSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("cosine"), warmupSteps }),
  z.strictObject({ kind: z.literal("constant"), warmupSteps }),
  z.strictObject({
    kind: z.literal("step"),
    warmupSteps,
    milestones: z
      .array(z.number().min(0).max(1))
      .max(MOST_MILESTONES)
      .default([0.5, 0.75])
      .describe("fractions of the phase's steps"),
    gamma: positive.default(0.1).describe("factor at each milestone"),
  }),
]);

const innerSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("sgd").describe("rates, momentum and decays are those of `optimizer` and `teacher`"),
  }),
  z.strictObject({
    kind: z.literal("adamw"),
    learningRate: positive.default(1e-3).describe("at the schedule's top; C takes optimizer.rectifierRate of it"),
    beta1: z.number().min(0).lt(1).default(0.9),
    beta2: z.number().min(0).lt(1).default(0.999),
    weightDecay: nonNegative.default(1e-2).describe("of full-precision parameters; W has optimizer.latentWeightDecay"),
  }),
]);

const latentSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("sgd").describe("with the rate and the momentum of `optimizer`") }),
  z.strictObject({
    kind: z.literal("adam").describe("which scales of gradients, different by orders between methods, do not touch"),
    rate: positive.default(0.01).describe("of optimizer.learningRate"),
    beta1: z.number().min(0).lt(1).default(0.9),
    beta2: z.number().min(0).lt(1).default(0.999),
    glorot: z.boolean().default(false).describe("times 1/sqrt(1.5 / (fan in + fan out)), as BNN's authors have it"),
  }),
]);

const syncSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("allreduce") }),
  z.strictObject({
    kind: z
      .literal("local")
      .describe("a microbatch is an inner step on the worker, a lease's steps go home as one difference (DiLoCo)"),
    inner: kindOr("sgd", innerSchema).prefault({}),
    outer: z
      .strictObject({
        learningRate: positive.default(0.7).describe("of Nesterov's step on the mean difference"),
        momentum: z.number().min(0).lt(1).default(0.9).describe("with 0, and a rate of 1, replicas are averaged"),
      })
      .prefault({}),
  }),
]);

/** Tables of which parts of the schema are made. */
const tables: readonly { readonly revision: number }[] = [models, methods, objectives, dataKinds, tasks];

/** Models that a method's layers can stand in. */
const binaryModels = () =>
  new Registry(
    "model",
    models.entries.filter(({ fullPrecisionOnly }) => !fullPrecisionOnly),
  );

const makeSchema = () =>
  z.strictObject({
    name: z.string().min(1).max(64).default("fashion-lenet").describe("shown to volunteers"),
    description: plain(MOST_DESCRIPTION).describe("shown to volunteers: what is trained and why, in a sentence or two"),
    contact: plain(MOST_CONTACT).describe("shown to volunteers: who trains it, and how to ask"),
    url: z
      .union([z.literal(""), z.url({ protocol: /^https?$/ }).max(MOST_URL)])
      .default("")
      .describe("of a page about the training, http or https, which volunteers are shown as a link"),
    seed: z.number().int().min(0).max(0xffffffff).default(0).describe("of every random draw"),
    model: optionsUnion(binaryModels(), DEFAULT_MODEL).prefault({}),
    method: optionsUnion(methods, DEFAULT_METHOD).prefault({}),
    objective: optionsUnion(objectives, DEFAULT_OBJECTIVE)
      .prefault({})
      .describe("what the network is trained for beside its task, and whom it learns from; with any method"),
    tuneNorms: z
      .enum(["method", "on", "off"])
      .default("method")
      .describe("a pass over `bnPhase` of the data after each epoch that trains batch norms alone; with any method"),
    data: dataSchema().prefault({ kind: DEFAULT_DATA } as never),
    task: optionsUnion(tasks, DEFAULT_TASK).prefault({}),
    batch: upTo(MOST_BATCH).default(128).describe("samples of a step, whatever the number of workers"),
    microbatch: upTo(MOST_MICROBATCH)
      .default(32)
      .describe("samples of one forward pass: unit of leases and of batch statistics"),
    epochs: upTo(MOST_EPOCHS).default(3).describe("of the student, the network that the method makes"),
    bnPhase: z.number().min(0).max(1).default(1).describe("share of the training images in each BN phase"),
    teacher: z
      .strictObject({
        epochs: upTo(MOST_EPOCHS)
          .default(2)
          .describe("of the full-precision teacher, trained first by the same workers"),
        file: z
          .string()
          .min(1)
          .max(MOST_PATH)
          .optional()
          .describe("a safetensors file with the teacher's parameters instead of training one"),
        model: optionsUnion(models, DEFAULT_TEACHER_MODEL)
          .optional()
          .describe(
            "the teacher's own network, of a file what it has where an option is not given; `model` by default",
          ),
        mean: normalisation.describe(
          "per channel, that the file was trained with; a data set's that differ are refused",
        ),
        std: normalisation.describe("the same of the deviation"),
        learningRate: positive.default(0.1),
      })
      .prefault({}),
    adversarial: z
      .strictObject({
        lambda: nonNegative.default(1).describe("weight of L_Adv in the student's loss"),
        warmupEpochs: z
          .number()
          .int()
          .min(0)
          .max(MOST_EPOCHS)
          .default(5)
          .describe("student epochs before L_Adv enters; 0 is the paper's letter"),
        reduce: z.enum(["mean", "sum"]).default("mean").describe("over layers; `sum` is the paper's letter"),
        learningRate: positive.default(2e-4).describe("Adam's, for the discriminators"),
        beta1: z.number().min(0).lt(1).default(0.5),
        beta2: z.number().min(0).lt(1).default(0.999),
      })
      .prefault({}),
    optimizer: z
      .strictObject({
        learningRate: positive.default(0.1).describe("η1: W, BN, stem, classifier, PReLU"),
        rectifierRate: nonNegative
          .default(0.1)
          .describe("η2 / η1: the rate of what a method learns beside W, such as C"),
        momentum: z.number().min(0).lt(1).default(0.9),
        weightDecay: nonNegative.default(1e-4).describe("of full-precision parameters; never of C"),
        latent: kindOr("sgd", latentSchema).prefault({}).describe("how W steps, in sync.kind allreduce"),
        latentWeightDecay: nonNegative.default(0).describe("of W; L_Kernel is its decay"),
        schedule: kindOr("cosine", scheduleSchema).prefault({}),
      })
      .prefault({}),
    sync: kindOr("allreduce", syncSchema)
      .prefault({})
      .describe("what a step is: one gradient of `batch` samples, or inner steps of a microbatch each over as many"),
    codec: codecKind
      .default("exact")
      .describe(
        "of large gradients on the wire, with 4, 4, 2, 1 or 1/8 byte an element: `exact` gives the same bits for any number of workers, `sign` is for slow uplinks",
      ),
    lease: z
      .strictObject({
        timeoutMs: upTo(MOST_MS)
          .default(120_000)
          .describe("a lease that is not answered by then goes to another worker"),
        maxMicrobatches: upTo(MOST_LEASE_MICROBATCHES).default(64).describe("of one lease"),
        minDeadlineMs: upTo(MOST_MS)
          .default(2000)
          .describe("a round is not late before; later, by how the last ten arrived"),
        affinity: z
          .boolean()
          .default(true)
          .describe("of a data set in chunks a worker is leased first what it holds; the numbers are the same"),
        seal: z
          .enum(["auto", "complete", "deadline"])
          .default("auto")
          .describe(
            "`deadline`: what is late goes to the next step; `auto`: `complete` where the codec has exact sums, else `deadline`",
          ),
        pieces: upTo(MOST_PIECES)
          .or(z.literal("auto"))
          .default("auto")
          .describe(
            "a lease is so small a part of a worker's share of what nobody holds, 1 is all of it; `auto`: 4, or fewer where a part would be computed in under 2 s, or in less than twice the time that its contribution travels at 8 Mbit/s",
          ),
        first: upTo(MOST_LEASE_MICROBATCHES)
          .default(1)
          .describe("microbatches of a worker's first lease; twice as many in each until it is measured"),
        ahead: z.boolean().default(true).describe("a worker may hold the lease after the one it computes"),
      })
      .prefault({}),
    downlink: z
      .strictObject({
        tail: z
          .enum(["f32", "f16"])
          .default("f32")
          .describe("parameters that are no signs, as workers compute with them"),
        discriminators: z
          .enum(["f32", "f16", "int8"])
          .default("f16")
          .describe(
            "the discriminators; `int8` is nearer to the true values than `f16`, larger, and needs a replica in checkpoints",
          ),
        teacher: z
          .enum(["f32", "f16"])
          .default("f16")
          .describe("the trained teacher, fetched once, and a twin that trains beside the network"),
      })
      .prefault({}),
    engine: z
      .looseObject({
        kind: z.string().min(1).max(64).default("local").describe("`local`: this process; its options are its own"),
      })
      .prefault({})
      .describe("what drives the rounds"),
    heartbeatMs: upTo(MOST_HEARTBEAT_MS).default(10_000).describe("between pings; three missed pings end a session"),
    maxWorkers: upTo(MOST_WORKERS).default(1000),
    trust: z
      .strictObject({
        clip: z
          .enum(["auto", "none", "norm", "centered-clip", "trimmed-mean"])
          .default("auto")
          .describe(
            "of gradients larger than usual; `auto`: scaled down, or with a codec of exact sums refused when far larger; the last two combine the parts of all accounts at the seal, keep them until then, and are not for codecs of exact sums",
          ),
        clipFactor: positive.default(1).describe("times the running median norm, to which `auto` and `norm` scale"),
        accountWeight: positive.max(1).default(0.1).describe("share of a step for one account, from ten accounts on"),
        audits: z
          .enum(["auto", "off"])
          .default("auto")
          .describe("a share of leases is computed by a second account; from three accounts on"),
        heldMiB: upTo(MOST_HELD_MIB)
          .default(256)
          .describe(
            "memory for the contributions that audits keep; where it is full, no more leases are audited, but one in each round",
          ),
        socketsPerAddress: upTo(MOST_PER_ADDRESS)
          .default(256)
          .describe("connections of one network address (IPv6: of one /64)"),
        joinsPerMinute: upTo(MOST_PER_ADDRESS).default(240).describe("hellos of one network address in a minute"),
        calibration: z
          .enum(["off", "auto", "always"])
          .default("auto")
          .describe(
            "a sum with a known answer before a newcomer's first lease; `auto`: not for the operator's own workers",
          ),
      })
      .prefault({}),
    checkpoint: z
      .strictObject({
        everySteps: upTo(MOST_STEPS).default(100),
        keep: upTo(MOST_CHECKPOINTS).default(3).describe("newest checkpoints kept; the older are removed"),
        bucket: z
          .string()
          .max(1024)
          .regex(/^(s3:\/\/.+)?$/, "write s3://BUCKET/PREFIX")
          .default("")
          .describe("s3://BUCKET/PREFIX of this run alone, for copies of its checkpoints; none where it is empty"),
      })
      .prefault({}),
  });

type RunConfigSchema = ReturnType<typeof makeSchema>;
let made: { readonly revisions: string; readonly schema: RunConfigSchema } | undefined;

/** The schema of a configuration, with what the tables of plug-ins hold now. */
export function runConfigSchema(): RunConfigSchema {
  const revisions = tables.map(({ revision }) => revision).join();
  if (made?.revisions !== revisions) made = { revisions, schema: makeSchema() };
  return made.schema;
}

export type RunConfig = z.output<RunConfigSchema>;
export type SyncKind = RunConfig["sync"]["kind"];

/** A stored configuration without what earlier builds knew and this one has no use for: `trust.limitLoopback`. */
function withoutRetired(value: unknown): unknown {
  const trust = (value as { readonly trust?: unknown } | null)?.trust;
  if (typeof trust !== "object" || trust === null || !("limitLoopback" in trust)) return value;
  const { limitLoopback: _, ...kept } = trust;
  return { ...(value as object), trust: kept };
}

/** A whole configuration as a field of another schema; the tables are read when it is parsed. */
export const runConfigField = z.unknown().transform((value, context): RunConfig => {
  const result = runConfigSchema().safeParse(withoutRetired(value));
  if (result.success) return result.data;
  for (const { path, message } of result.error.issues) context.addIssue({ code: "custom", path: [...path], message });
  return z.NEVER;
});

/**
 * Checks a configuration and fills in defaults. @throws CONFIG_INVALID naming each field, its value and what is allowed
 */
export function parseConfig(value: unknown): RunConfig {
  const schema = runConfigSchema();
  const result = schema.safeParse(withoutRetired(value ?? {}));
  if (!result.success) {
    const lines = configProblems(schema, value, result.error.issues);
    throw new BitswarmError("CONFIG_INVALID", `The run's configuration is not valid:\n${lines.join("\n")}`);
  }
  return checkTogether(result.data);
}

/** What a run is trained for, and whether its batch norms are tuned, where its method says so too. */
function askedOf(config: RunConfig): ReturnType<typeof askedOfMethod> {
  return askedOfMethod(methods.get(config.method.kind), config.method, config);
}

/** Fields that are not as they are by default, and that neither the method nor the objective reads. */
export function unusedFields(config: RunConfig): readonly string[] {
  const { objective, tuneNorms } = askedOf(config);
  const read: readonly string[] = [
    ...methods.get(config.method.kind).reads,
    ...objectives.get(objective.kind).reads(objective),
    ...(tuneNorms === "on" ? ["bnPhase"] : []),
  ];
  const defaults = runConfigSchema().parse({});
  return methodFields.filter(
    (field) => !read.includes(field) && JSON.stringify(config[field]) !== JSON.stringify(defaults[field]),
  );
}

/** What of an objective and of the tuning of norms cannot be, of a configuration. */
function objectiveProblems(config: RunConfig): readonly string[] {
  const { sync, bnPhase, tuneNorms } = config;
  const problems: string[] = [];
  const { kind, local } = objectives.get(askedOf(config).objective.kind);
  if (sync.kind === "local" && !local) {
    const able = objectives.entries.filter((one) => one.local).map((one) => one.kind);
    problems.push(
      `objective: ${kind} compares networks in one gradient, which inner steps do not make; got sync.kind local (use allreduce, or an objective of ${able.join(", ")})`,
    );
  }
  if (bnPhase === 0 && tuneNorms === "on") {
    problems.push("bnPhase: must be above 0 where tuneNorms is on; got 0 (use tuneNorms off to leave the phase out)");
  }
  return problems;
}

/** What its method cannot do of a configuration. */
function methodProblems(config: RunConfig): readonly string[] {
  const { method, sync } = config;
  const plugin = methods.get(method.kind);
  const problems = [...plugin.check(method, config)];
  if (sync.kind === "local" && !plugin.deviceRule) {
    const able = methods.entries.filter(({ deviceRule }) => deviceRule).map(({ kind }) => kind);
    problems.push(
      `sync.kind: local steps latent weights on the workers, which the method ${method.kind} has no rule for; got local (use allreduce, or a method of ${able.join(", ")})`,
    );
  }
  if (sync.kind === "local" && config.optimizer.latent.kind !== "sgd") {
    problems.push(
      `optimizer.latent: is of sync.kind allreduce; inner steps go by sync.inner; got ${config.optimizer.latent.kind}`,
    );
  }
  return problems;
}

/** What is wrong with the networks of a configuration, each for itself. */
function modelProblems({ model, teacher }: RunConfig): readonly string[] {
  const own = teacher.model === undefined ? [] : models.get(teacher.model.kind).check(teacher.model);
  return [...models.get(model.kind).check(model), ...own.map((line) => `teacher.${line}`)];
}

/** Rules that span fields. */
function checkTogether(config: RunConfig): RunConfig {
  const { batch, microbatch } = config;
  const problems = [...modelProblems(config), ...methodProblems(config), ...objectiveProblems(config)];
  if (batch % microbatch !== 0) {
    problems.push(
      `batch: must be a multiple of microbatch (${microbatch}), so that every lease is whole microbatches; got ${batch}`,
    );
  }
  const { clip } = config.trust;
  if (codecs.get(config.codec).exactSums && (clip === "centered-clip" || clip === "trimmed-mean")) {
    problems.push(
      `trust.clip: ${clip} depends on who computed what, so the codec ${config.codec} could not keep its bits; got codec ${config.codec} (use codec f32, or trust.clip auto)`,
    );
  }
  if (problems.length > 0) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `The run's configuration is not valid:\n${problems.map((p) => `  ${p}`).join("\n")}`,
    );
  }
  return config;
}

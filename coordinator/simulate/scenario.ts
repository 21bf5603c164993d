// What a simulated world is like: volunteers, their speeds and faults, links, liars, and the run they compute. Unknown
// keys are refused.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { LEAST_SHARE } from "../../shared/base/gpu-share.ts";
import { MAX_CHUNK_SAMPLES } from "../../shared/data/dataset.ts";
import { configProblems } from "../../shared/run/config-problems.ts";
import { readYaml, setField } from "../../shared/run/config-text.ts";
import { packageRoot } from "../base/package-root.ts";

const share = z.number().min(0).max(1);
/** The largest of everything that a scenario counts or measures: seconds, bytes, rates. */
const MOST = 1e9;
const MOST_STEPS = 1_000_000;
const positive = z.number().positive().max(MOST);
const nonNegative = z.number().min(0).max(MOST);
/** Drawn uniformly between the two. */
const span = z
  .tuple([nonNegative, nonNegative])
  .refine(([least, most]) => least <= most, "must be [least, most] in ascending order");

/** Ways to do harm; each is a behaviour of virtual workers (SPEC.md, V). */
export const misdeeds = [
  "nan",
  "scale",
  "flip",
  "replay",
  "shape",
  "loris",
  "hoard",
  "zero",
  "collude",
  "peak",
  "silent",
  "tease",
  "bounce",
] as const;
export type Misdeed = (typeof misdeeds)[number];

const scenarioSchema = z.strictObject({
  name: z.string().min(1).max(64).default("unnamed"),
  seed: z.number().int().min(0).max(0xffffffff).default(0),
  volunteers: z.number().int().min(1).max(100_000).default(64).describe("liars included"),
  steps: z.number().int().positive().max(MOST_STEPS).default(20),
  gateways: z
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(0)
    .describe("between volunteers and a leader, on a bus in memory; 0: one coordinator has all volunteers"),
  standbys: z
    .number()
    .int()
    .min(0)
    .max(4)
    .default(0)
    .describe("coordinators that follow the one that leads, where there are gateways"),
  whole: z
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(1)
    .describe("one gateway in so many runs whole; at the others one volunteer stands for a hundred"),
  bus: z
    .strictObject({
      delayMs: span.default([0.2, 2]),
      lose: share.default(0).describe("of the messages between leader and gateways"),
      duplicate: share.default(0),
      overtake: share.default(0).describe("of those that do not keep their order, as they do on one connection"),
    })
    .prefault({}),
  passes: z
    .number()
    .int()
    .positive()
    .max(MOST_STEPS)
    .default(1)
    .describe("over the data; the steps are divided among them"),
  stepSeconds: positive.default(10).describe("of a step in which everybody works all the time: sets the batch"),
  microbatch: z.number().int().min(1).max(1024).default(16).describe("samples"),
  joinSeconds: nonNegative.default(5).describe("in which the volunteers arrive"),
  speed: z
    .strictObject({
      slowest: positive.default(20).describe("samples a second"),
      spread: z.number().min(1).max(MOST).default(30).describe("fastest / slowest; log-uniform between"),
      jitter: nonNegative.default(0.1).describe("standard deviation of the logarithm of a lease's duration"),
    })
    .prefault({}),
  stalls: z
    .strictObject({
      share: share.lt(1).default(0).describe("of the volunteers, at any time, that answer pings and compute nothing"),
      seconds: span.default([20, 120]),
    })
    .prefault({}),
  drops: z
    .strictObject({
      share: share.default(0).describe("of the volunteers that lose their connection in a step's time"),
      awaySeconds: span.default([1, 20]),
    })
    .prefault({}),
  churn: z
    .strictObject({
      leaves: share.default(0).describe("of the volunteers that leave for good in a step's time"),
      deaths: share.default(0).describe("that vanish without a word"),
      replacedAfterSeconds: span.default([1, 30]).describe("until somebody else comes instead"),
    })
    .prefault({}),
  link: z
    .strictObject({
      latencyMs: span.default([10, 120]).describe("one way, of a volunteer"),
      jitterMs: nonNegative.default(5).describe("at most, more a message"),
      uploadMbps: span.default([5, 50]),
      downloadMbps: span.default([20, 200]),
      payloadScale: positive.default(1).describe("bytes that one byte of the small simulated model stands for"),
      evil: z
        .strictObject({
          lose: share.default(0),
          duplicate: share.default(0),
          reorder: share.default(0),
          corrupt: share.default(0).describe("frames with a bit turned or their end cut off"),
        })
        .prefault({})
        .describe("shares of messages; no WebSocket does this, the protocol above is tried"),
    })
    .prefault({}),
  partitions: z
    .array(z.strictObject({ atSeconds: nonNegative, seconds: positive, share: share.default(1) }))
    .default([])
    .describe("times in which a share of the volunteers and the coordinator do not hear each other"),
  throttles: z
    .array(
      z.strictObject({
        atSeconds: nonNegative,
        share: share.default(1),
        to: z.number().min(LEAST_SHARE).max(1).describe("of the time"),
      }),
    )
    .default([])
    .describe("a share of the volunteers has its GPUs compute so much of the time from then on"),
  restarts: z
    .array(z.strictObject({ atSeconds: nonNegative, downSeconds: positive.default(5) }))
    .default([])
    .describe("the coordinator is killed, and goes on from its newest checkpoint"),
  mishaps: z
    .array(
      z.strictObject({
        atSeconds: nonNegative,
        seconds: positive.default(3),
        what: z
          .enum(["gateway-killed", "gateway-cut", "leader-cut", "store-down", "store-emptied"])
          .describe("a gateway that is killed comes back with nothing; who is cut hears nobody on the bus"),
        gateway: z.number().int().min(0).max(999).default(0),
      }),
    )
    .default([])
    .describe("what becomes of leader, gateways and the store of the head; `restarts` kills the leader"),
  own: z
    .boolean()
    .default(false)
    .describe("whoever is honest is the operator's own worker, and liars are the strangers"),
  liars: z.partialRecord(z.enum(misdeeds), share).default({}).describe("share of the volunteers with each misdeed"),
  data: z
    .strictObject({
      chunk: z
        .number()
        .int()
        .min(0)
        .max(MAX_CHUNK_SAMPLES)
        .default(0)
        .describe("samples; 0: raw shards, which all hold"),
      kept: share.default(0.1).describe("of the chunks that a volunteer has room for"),
    })
    .prefault({}),
  patienceSeconds: positive.default(1800).describe("without a committed step until the run counts as stuck"),
  run: z.record(z.string(), z.unknown()).default({}).describe("fields of run.yaml: codec, lease, …"),
});

export type Scenario = z.output<typeof scenarioSchema>;

/** @throws CONFIG_INVALID naming each field and what is allowed */
export function parseScenario(value: unknown, source: string): Scenario {
  const result = scenarioSchema.safeParse(value);
  if (!result.success) {
    const lines = configProblems(scenarioSchema, value, result.error.issues);
    throw new BitswarmError("CONFIG_INVALID", `${source} is not a valid scenario:\n${lines.join("\n")}`);
  }
  const { liars } = result.data;
  const lying = Object.values(liars).reduce((sum, part) => sum + part, 0);
  if (lying >= 1) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `${source}: liars: the shares add up to ${lying}; somebody must be honest`,
    );
  }
  return result.data;
}

/**
 * A scenario from a file, or the shipped one; `set` are `field=value` assignments, later ones win.
 * @throws CONFIG_INVALID
 */
export async function readScenario(file: string | undefined, set: readonly string[]): Promise<Scenario> {
  const source = file ?? join(packageRoot(), "coordinator", "simulate", "volunteers-64.yaml");
  let text: string;
  try {
    text = await readFile(source, "utf8");
  } catch (cause) {
    throw new BitswarmError("CONFIG_INVALID", `${source} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const fields = readYaml(text, source);
  for (const assignment of set) setField(fields, assignment);
  return parseScenario(fields, source);
}

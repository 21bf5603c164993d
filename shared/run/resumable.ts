// Which fields of a run's configuration may change when it is resumed. What was trained must stay what it would have
// been: a field that touches it is fixed, with the reason that a person is told. Every field has an entry here, its own
// or its group's, so that whoever adds a field decides (test/shared/run/resumable.test.ts).

import type { RunConfig } from "./config.ts";

export type Resumable =
  /** Changes nothing of what is trained, only how it is got there. */
  | { readonly kind: "free" }
  /** May grow: what was trained is the beginning of what will be. */
  | { readonly kind: "upwards" }
  /** Says where files lie; what is in them is compared with what the run began with. */
  | { readonly kind: "place" }
  | { readonly kind: "fixed"; readonly why: string };

const free: Resumable = { kind: "free" };
const place: Resumable = { kind: "place" };
const fixed = (why: string): Resumable => ({ kind: "fixed", why });

const draws = fixed("every random draw of the run follows from it");
const network = fixed("it is what is trained");
const samples = fixed("it says which samples are trained on, and how they are seen");
const stepping = fixed("it says what a step is");
const rates = fixed("earlier steps were made with it");
const wire = fixed("it says what workers compute with");

/** By a field's path, or that of a group of fields; the longest that fits counts. */
export const resumable: Readonly<Record<string, Resumable>> = {
  name: free,
  description: free,
  contact: free,
  url: free,
  seed: draws,
  model: network,
  method: network,
  objective: network,
  tuneNorms: stepping,
  data: samples,
  "data.root": place,
  "data.store": place,
  task: network,
  batch: stepping,
  microbatch: stepping,
  epochs: { kind: "upwards" },
  bnPhase: stepping,
  "teacher.epochs": fixed("what follows the teacher's training was counted from its end"),
  "teacher.file": place,
  "teacher.model": network,
  "teacher.mean": fixed("it is compared with the data set's at the start"),
  "teacher.std": fixed("it is compared with the data set's at the start"),
  "teacher.learningRate": rates,
  adversarial: rates,
  optimizer: rates,
  sync: stepping,
  codec: stepping,
  "lease.timeoutMs": free,
  "lease.maxMicrobatches": free,
  "lease.minDeadlineMs": free,
  "lease.affinity": free,
  "lease.seal": fixed("it says which samples a step takes"),
  "lease.pieces": free,
  "lease.first": free,
  "lease.ahead": free,
  downlink: wire,
  engine: free,
  heartbeatMs: free,
  maxWorkers: free,
  "trust.clip": fixed("it scales the gradients of a step"),
  "trust.clipFactor": fixed("it scales the gradients of a step"),
  "trust.accountWeight": free,
  "trust.audits": free,
  "trust.heldMiB": free,
  "trust.socketsPerAddress": free,
  "trust.joinsPerMinute": free,
  "trust.calibration": free,
  "checkpoint.everySteps": free,
  "checkpoint.keep": free,
  "checkpoint.bucket": free,
};

/** The entry of a field, or of the group that it is in. */
export function resumableOf(field: string): Resumable | undefined {
  for (let path = field; path !== ""; path = path.slice(0, Math.max(0, path.lastIndexOf(".")))) {
    if (Object.hasOwn(resumable, path)) return resumable[path];
  }
  return undefined;
}

/** A field with two values; undefined where it is not there. */
export interface FieldChange {
  readonly field: string;
  readonly from: unknown;
  readonly to: unknown;
}

function leaves(value: unknown, path: string, found: Map<string, unknown>): Map<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) found.set(path, value);
  else {
    for (const [key, inner] of Object.entries(value)) leaves(inner, path === "" ? key : `${path}.${key}`, found);
  }
  return found;
}

/** The fields in which two configurations differ. */
export function changedFields(from: RunConfig, to: RunConfig): FieldChange[] {
  const [before, after] = [leaves(from, "", new Map()), leaves(to, "", new Map())];
  const fields = [...new Set([...before.keys(), ...after.keys()])];
  return fields
    .map((field) => ({ field, from: before.get(field), to: after.get(field) }))
    .filter((change) => JSON.stringify(change.from) !== JSON.stringify(change.to));
}

/** Why a change is refused; nothing where it is not. */
export function refusalOf({ field, from, to }: FieldChange): string | undefined {
  const rule = resumableOf(field);
  switch (rule?.kind) {
    case "free":
      return undefined;
    case "place":
      // A teacher that was trained cannot come from a file any more, nor the other way round.
      if (field !== "teacher.file" || (from !== undefined) === (to !== undefined)) return undefined;
      return "a teacher from a file is not trained, and another run begins with it";
    case "upwards":
      if (typeof from === "number" && typeof to === "number" && to > from) return undefined;
      return "it may only grow; to end earlier there is --max-steps";
    case "fixed":
      return rule.why;
    case undefined:
      return "no rule says that it may change";
    default:
      return rule satisfies never;
  }
}

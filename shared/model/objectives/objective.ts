// The contract of an objective: what a 1-bit network is trained for beside its task and its method's own loss, and whom
// it learns from. No objective knows a method.

import type { z } from "zod";
import type { Plugin, PluginOptions } from "../../base/registry.ts";
import type { Loss, Partner } from "../phases.ts";

/** The frozen network of full precision, which is trained first or comes from a file. */
export const TEACHER = "teacher";
/** Prefix of the parameters of a twin: the same network in full precision, trained beside the other. */
export const TWIN = "twin";

/** What of a run's configuration an objective may read beside its own options. */
export interface ObjectiveRun {
  readonly adversarial: { readonly lambda: number; readonly warmupEpochs: number };
}

/** Fields of a configuration that objectives read. */
export type ObjectiveField = "adversarial" | "teacher";

/** What an objective asks of a program. */
export interface ObjectiveParts {
  /** Of the task's loss. */
  readonly task: number;
  /** Terms beside it, and beside the method's own; none of them twice. */
  readonly losses: readonly Loss[];
  /** Whom it learns from, or against whom: the teacher, or what travels with the network under this kind. */
  readonly teacher: boolean;
  readonly partner?: Partner["kind"];
  /** The network begins with the teacher's parameters of the same names. */
  readonly startsFromTeacher?: boolean;
  /** Weights of a pass that differ from the losses' own, by kind; the epoch is of the network, from 0. */
  readonly weights?: (epoch: number) => Readonly<Record<string, number>>;
}

/** A plug-in of the table in objectives.ts. */
export interface ObjectivePlugin extends Plugin {
  /** Whether workers can take inner steps of it, in `sync: local`. */
  readonly local: boolean;
  readonly reads: (options: PluginOptions) => readonly ObjectiveField[];
  /** @param options as the schema gave them */
  readonly create: (options: PluginOptions, run: ObjectiveRun) => ObjectiveParts;
}

/** An objective whose functions take its own options, as its schema gives them. */
export function defineObjective<S extends z.ZodObject>(objective: {
  readonly kind: string;
  readonly schema: S;
  /** False unless given. */
  readonly local?: boolean;
  readonly create: (options: z.output<S>, run: ObjectiveRun) => ObjectiveParts;
}): ObjectivePlugin {
  const { kind, schema, local = false } = objective;
  const create: ObjectivePlugin["create"] = (options, run) => objective.create(schema.parse(options), run);
  return {
    kind,
    schema,
    local,
    create,
    reads: (options) => {
      const { teacher, losses } = create(options, { adversarial: { lambda: 1, warmupEpochs: 0 } });
      return [
        ...(losses.some((loss) => loss.kind === "adversarial") ? (["adversarial"] as const) : []),
        ...(teacher ? (["teacher"] as const) : []),
      ];
    },
  };
}

/** The task alone. */
export const taskAlone: ObjectiveParts = { task: 1, losses: [], teacher: false };

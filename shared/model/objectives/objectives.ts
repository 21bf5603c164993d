// The table of objectives: one line an entry, from which the configuration's `objective` is made.

import { Registry } from "../../base/registry.ts";
import { adversarial } from "./adversarial.ts";
import { apprentice } from "./apprentice.ts";
import { features } from "./features.ts";
import { guided } from "./guided.ts";
import { methodObjective } from "./method.ts";
import { mutual } from "./mutual.ts";
import { noObjective } from "./none.ts";
import type { ObjectivePlugin } from "./objective.ts";
import { polino } from "./polino.ts";

export const objectives = new Registry<ObjectivePlugin>("objective", [
  methodObjective,
  noObjective,
  adversarial,
  apprentice,
  polino,
  guided,
  mutual,
  features,
]);
/** Of a configuration that names none. */
export const DEFAULT_OBJECTIVE = "method";

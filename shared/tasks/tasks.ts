// The table of tasks: one line an entry, from which the configuration's `task` is made.

import { Registry } from "../base/registry.ts";
import { classification } from "./classification.ts";
import { siamfc } from "./siamfc.ts";
import type { Task } from "./task.ts";

export const tasks = new Registry<Task>("task", [classification, siamfc]);
/** Of a configuration that names none. */
export const DEFAULT_TASK = "classification";

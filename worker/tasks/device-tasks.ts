// The device halves of the tasks: one line an entry, asserted equal to the table of shared/tasks at load.

import { Registry } from "../../shared/base/registry.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { deviceClassification } from "./classification.ts";
import type { DeviceTask } from "./device-task.ts";
import { deviceSiamfc } from "./siamfc.ts";

export const deviceTasks = new Registry<DeviceTask>("task's device half", [deviceClassification, deviceSiamfc]);

const apart = [
  ...tasks.kinds.filter((kind) => !deviceTasks.has(kind)),
  ...deviceTasks.kinds.filter((kind) => !tasks.has(kind)),
];
if (apart.length > 0) throw new RangeError(`tasks with one half only: ${apart.join(", ")}`);

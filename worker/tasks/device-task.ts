// The half of a task that a device needs: the launches of its loss.

import type { PluginOptions } from "../../shared/base/registry.ts";
import type { RecordLoss } from "../plan/task-loss.ts";

/** An entry of the table in device-tasks.ts. */
export interface DeviceTask {
  /** Of its other half in shared/tasks. */
  readonly kind: string;
  readonly loss: (options: PluginOptions) => RecordLoss;
}

// The loss of pairs on a device: that of a response, of one label map for all.

import { siamfc, siamfcSchema } from "../../shared/tasks/siamfc.ts";
import type { DeviceTask } from "./device-task.ts";
import { responseLoss } from "./response.ts";

export const deviceSiamfc: DeviceTask = {
  kind: siamfc.kind,
  loss: (options) => responseLoss(siamfcSchema.parse(options)),
};

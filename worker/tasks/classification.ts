// The loss of classification on a device: the softmax cross-entropy, and the two shares of right answers.

import { softmaxCrossEntropy } from "../../kernels/losses/softmax-cross-entropy.ts";
import { classification, classificationSchema, LABEL } from "../../shared/tasks/classification.ts";
import type { RecordLoss } from "../plan/task-loss.ts";
import type { DeviceTask } from "./device-task.ts";

/** Loss, top-1, top-5. */
const METRICS = 3;

/** The softmax cross-entropy of labels, and the two shares of right answers. */
export function classificationLoss(smoothing: number): RecordLoss {
  return (list, { n, output, shape: { c: classes }, target, evaluates }) => {
    const gradient = list.tensor(n * classes);
    const metrics = list.tensor(METRICS);
    const labelSmoothing = evaluates ? 0 : smoothing;
    const refs = { logits: output, labels: target(LABEL, 1), dlogits: gradient, metrics };
    list.run(softmaxCrossEntropy({ n, classes, labelSmoothing }), refs);
    return { gradient, metrics };
  };
}

export const deviceClassification: DeviceTask = {
  kind: classification.kind,
  loss: (options) => classificationLoss(classificationSchema.parse(options).labelSmoothing),
};

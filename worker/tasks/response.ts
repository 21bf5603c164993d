// The loss of a response on a device: the balanced logistic loss, and how often the greatest value is near the centre.

import { balancedLogistic } from "../../kernels/losses/balanced-logistic.ts";
import { RESPONSE_CELLS, RESPONSE_STRIDE, type ResponseOptions } from "../../shared/tasks/response.ts";
import type { RecordLoss } from "../plan/task-loss.ts";

/** All pairs have their target in the middle, so there is one map of labels, and no target to compare with. */
export function responseLoss({ radius }: Pick<ResponseOptions, "radius">): RecordLoss {
  return (list, { n, output, shape: { h, w } }) => {
    const gradient = list.tensor(n * h * w);
    const metrics = list.tensor(1 + RESPONSE_CELLS.length);
    const loss = balancedLogistic({ n, h, w, radius: radius / RESPONSE_STRIDE, within: RESPONSE_CELLS });
    list.run(loss, { scores: output, dscores: gradient, metrics });
    return { gradient, metrics };
  };
}

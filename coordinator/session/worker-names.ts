// What workers are called in a run: a name nobody has had, also where several gateways name workers of one run.

import { type WorkerId, workerId } from "../../shared/base/ids.ts";

/** The name of the next worker. */
export type WorkerNames = () => WorkerId;

/** `w1`, `w2` and so on. @param step of gateways that count beside one another, how many there are */
export function numberedFrom(first: number, step = 1): WorkerNames {
  let next = first;
  return () => {
    const name = workerId(`w${next}`);
    next += step;
    return name;
  };
}

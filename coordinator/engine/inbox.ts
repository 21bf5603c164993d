// What sessions ask for, carried to where it is done: to the rounds, to the newcomers' canaries, and to whoever watches the run.

import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { Newcomers } from "../trust/newcomers.ts";
import type { SessionHouse } from "./leave-code.ts";
import type { RoundDriver } from "./local/round-driver.ts";
import type { OnRunEvent } from "./run-event.ts";

/** What the sessions pass on of the workers' doings. */
export type RoundInbox = Pick<
  RoundDriver,
  "join" | "ready" | "pause" | "rested" | "suspend" | "resume" | "leave" | "giveBack" | "contribute"
>;

export interface HouseParts extends Pick<SessionHouse, "patient" | "left"> {
  readonly rounds: RoundInbox;
  readonly onEvent: OnRunEvent;
  readonly newcomers: Pick<Newcomers, "answer">;
  /** Does what a worker wishes once it may be leased work. */
  readonly whenFree: (worker: WorkerId, call: () => void) => void;
}

export function sessionHouse({ rounds, onEvent, newcomers, whenFree, patient, left }: HouseParts): SessionHouse {
  return {
    canaryAnswered: (worker, answer) => {
      const elapsedMs = newcomers.answer(worker, answer);
      onEvent({ type: "calibrated", worker, elapsedMs });
    },
    ready: (worker, { ahead, maxMicrobatches }) =>
      whenFree(worker, () => rounds.ready(worker, { ahead, maxMicrobatches })),
    paused: (worker) => whenFree(worker, () => rounds.pause(worker)),
    returned: (worker, { lease, reason, detail }) => {
      onEvent({ type: "returned", worker, reason, detail });
      rounds.giveBack(worker, lease as LeaseId, reason);
    },
    contribution: (worker, bytes) => rounds.contribute(worker, bytes),
    patient,
    suspended: (worker, code, message) => {
      onEvent({ type: "worker-suspended", worker, code, message });
      rounds.suspend(worker);
    },
    resumed: (worker) => {
      onEvent({ type: "worker-resumed", worker });
      rounds.resume(worker);
    },
    left,
  };
}

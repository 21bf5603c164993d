// How a gateway that knows no more than a run's name learns the rest: it joins with room for nothing until a leader
// announces a round, which has what it must know among its frames. Of a run that is over nobody will.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Bulk } from "../cluster/bulk.ts";
import type { Bus } from "../cluster/bus.ts";
import type { KeyReader } from "../cluster/keys.ts";
import { decode, encode, type Payload } from "../cluster/messages.ts";
import { subjectsOf } from "../cluster/subjects.ts";
import { knownEnd, LOOK_FOR_END_MS } from "./run-end.ts";
import { decodeFacts, FACTS_NAME } from "./run-facts.ts";

/** It asks so often. */
const ASK_EVERY_MS = 300;
export interface MeetOptions {
  readonly bus: Bus;
  readonly bulk: Bulk;
  readonly keys: KeyReader;
  readonly run: string;
  readonly id: string;
  readonly life: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onNotice: (message: string) => void;
}

/** Resolves with what the run is, once somebody leads it. @throws RUN_ENDED, what the signal aborts with */
export async function meetLeader(options: MeetOptions): Promise<ReturnType<typeof decodeFacts>> {
  const { bus, bulk, keys, run, id, life, clock, signal, onNotice } = options;
  const subjects = subjectsOf(run);
  let [told, number, lookedAt] = [false, 0, clock.now()];
  for (;;) {
    signal.throwIfAborted();
    const open = await new Promise<Payload<"open"> | undefined>((resolve) => {
      const stop = bus.subscribe(subjects.toAll("open"), ({ data }) => end(decode("open", data)));
      const cancel = clock.after(ASK_EVERY_MS, () => end(undefined));
      const end = (open: Payload<"open"> | undefined) => {
        stop();
        cancel();
        resolve(open);
      };
      const nothing = { key: null, speed: 0, room: 0, workers: 0, accounts: 0, open: 0, free: 0, leases: [], kept: [] };
      bus.publish(subjects.fromGateway("join", id), encode("join", { epoch: 0, life, number: ++number, ...nothing }));
    });
    const frame = open?.frames.find(({ name }) => name === FACTS_NAME);
    if (open && frame) {
      try {
        return decodeFacts(await bulk.fetch({ holder: open.leader, ...frame, signal }));
      } catch (error) {
        if (!(error instanceof BitswarmError && error.code === "BULK_LOST")) throw error;
      }
    }
    // Nobody having answered for a while is told, once.
    if (clock.now() - lookedAt < LOOK_FOR_END_MS) continue;
    const step = await knownEnd(keys);
    if (step !== undefined) {
      throw new BitswarmError(
        "RUN_ENDED",
        `the run ${run} came to its end after step ${step}: a gateway has nothing left to do. Another run on these servers needs another --run`,
      );
    }
    if (!told) onNotice(`nobody leads the run ${run} yet: this gateway waits`);
    told = true;
    lookedAt = clock.now();
  }
}

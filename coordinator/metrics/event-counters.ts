// What is counted as it happens. Labels are words of tables in our code: whoever joins, lies or leaves adds no series.

import type { Registry } from "prom-client";
import { returnReasons } from "../../shared/wire/protocol.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { counter, gauge, histogram } from "./series.ts";

type Of<T extends RunEvent["type"]> = Extract<RunEvent, { type: T }>;

const traffic = ["parameters", "contributions", "control"] as const;
const directions = ["down", "up"] as const;
const causes: readonly Of<"requeued">["cause"][] = ["expired", "returned", "left", "refused", "rests"];
/** From what a GPU on the same desk takes for a step, to what a round of phones does. */
const stepSeconds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

interface Member {
  readonly runtime: Of<"joined">["runtime"];
  readonly adapter: "gpu" | "software";
}

const members: readonly Member[] = (["browser", "deno", "node"] as const).flatMap((runtime) =>
  (["gpu", "software"] as const).map((adapter) => ({ runtime, adapter })),
);

export class EventCounters {
  readonly #now: () => number;
  readonly #events;
  readonly #steps;
  readonly #stepSeconds;
  readonly #bytes;
  readonly #evaluations;
  readonly #checkpointStep;
  readonly #checkpointTime;
  readonly #undone;
  readonly #workers;
  readonly #left;
  readonly #turnedAway;
  readonly #returned;
  readonly #refused;
  readonly #requeued;
  readonly #audited;
  /** What each worker that is in the run runs on. */
  readonly #members = new Map<string, Member>();
  /** When the last step was committed; unknown before the first, and where an evaluation came between. */
  #stepAt: number | undefined;

  /** @param now milliseconds on a monotonic clock */
  constructor(registry: Registry, now: () => number) {
    this.#now = now;
    this.#events = counter(registry, "events", "Things that happened, by kind.", ["type"]);
    this.#steps = counter(registry, "steps", "Steps that this process committed; those that were undone count, too.");
    this.#stepSeconds = histogram(
      registry,
      "step_duration_seconds",
      "From one commit to the next, evaluations left out.",
      stepSeconds,
    );
    this.#bytes = counter(
      registry,
      "worker_traffic_bytes",
      "On the workers' sockets, as of the last step; shards and the frozen teacher are not in it.",
      ["of", "direction"],
    );
    this.#evaluations = counter(registry, "evaluations", "Evaluations on the held-out samples.", ["network"]);
    this.#checkpointStep = gauge(registry, "checkpoint_step", "Committed steps in the newest checkpoint.");
    this.#checkpointTime = gauge(
      registry,
      "checkpoint_timestamp_seconds",
      "When this process last wrote a checkpoint of another step, in Unix time.",
    );
    this.#undone = counter(registry, "undone_steps", "Steps whose numbers were lost, and that are made again.");
    this.#workers = gauge(registry, "workers", "Workers in the run, by what they run on.", ["runtime", "adapter"]);
    this.#left = counter(registry, "workers_left", "Workers that left or were sent away, by why.", ["code"]);
    this.#turnedAway = counter(registry, "turned_away", "Connections that came to nothing, by why.", ["code"]);
    this.#returned = counter(registry, "leases_returned", "Leases that workers gave back, by why.", ["reason"]);
    this.#refused = counter(registry, "contributions_refused", "Contributions that do not count, by why.", ["code"]);
    this.#requeued = counter(registry, "leases_requeued", "Leases whose samples are leased again, by why.", ["cause"]);
    this.#audited = counter(registry, "audited_contributions", "Contributions compared in audits.", ["verdict"]);
    this.#checkpointStep.remove();
    this.#checkpointTime.remove();
    // What has not happened yet is 0: the first time is a rise, too.
    for (const of of traffic) for (const direction of directions) this.#bytes.inc({ of, direction }, 0);
    for (const member of members) this.#workers.set({ ...member }, 0);
    for (const reason of [...returnReasons, "other"]) this.#returned.inc({ reason }, 0);
    for (const cause of causes) this.#requeued.inc({ cause }, 0);
    for (const verdict of ["right", "wrong"]) this.#audited.inc({ verdict }, 0);
  }

  take(event: RunEvent): void {
    this.#events.inc({ type: event.type });
    switch (event.type) {
      case "step":
        this.#step(event);
        return;
      case "evaluation":
        this.#stepAt = undefined;
        this.#evaluations.inc({ network: event.network });
        return;
      case "checkpoint":
        this.#checkpointStep.set(event.step);
        this.#checkpointTime.setToCurrentTime();
        return;
      case "undone":
        this.#undone.inc(event.step - event.to);
        return;
      case "joined":
        this.#joined(event);
        return;
      case "left":
        this.#gone(event.worker);
        this.#left.inc({ code: event.code });
        return;
      case "turned-away":
        this.#turnedAway.inc({ code: event.code });
        return;
      case "returned":
        this.#returned.inc({ reason: returnReasons.find((reason) => reason === event.reason) ?? "other" });
        return;
      case "refused":
        this.#refused.inc({ code: event.code });
        return;
      case "requeued":
        this.#requeued.inc({ cause: event.cause });
        return;
      case "audited":
        this.#audited.inc({ verdict: "right" }, event.right.length);
        this.#audited.inc({ verdict: "wrong" }, event.wrong.length);
        return;
      default:
        return;
    }
  }

  #step({ bytes }: Of<"step">): void {
    this.#steps.inc();
    for (const of of traffic)
      for (const direction of directions) this.#bytes.inc({ of, direction }, bytes[of][direction]);
    const now = this.#now();
    if (this.#stepAt !== undefined) this.#stepSeconds.observe((now - this.#stepAt) / 1000);
    this.#stepAt = now;
  }

  #joined({ worker, runtime, adapter }: Of<"joined">): void {
    this.#gone(worker);
    const member: Member = { runtime, adapter: adapter.software ? "software" : "gpu" };
    this.#members.set(worker, member);
    this.#workers.inc({ ...member });
  }

  #gone(worker: string): void {
    const member = this.#members.get(worker);
    if (!member) return;
    this.#members.delete(worker);
    this.#workers.dec({ ...member });
  }
}

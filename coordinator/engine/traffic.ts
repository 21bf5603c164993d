// Bytes on the workers' sockets by class, both ways, from one step to the next. Counted are whole messages as they are
// handed to the socket or come out of it; WebSocket's own 2 to 14 bytes a message, TCP and what is fetched over HTTP
// are not.

/** What a message is for; control is all but bulk. */
export type TrafficClass = "parameters" | "contributions" | "control";

export interface TrafficBytes {
  readonly down: number;
  readonly up: number;
}

/** Of one step, everything since the step before: evaluations and newcomers too. */
export interface StepBytes extends TrafficBytes {
  readonly parameters: TrafficBytes;
  readonly contributions: TrafficBytes;
  readonly control: TrafficBytes;
  /** Means over the workers there are when the step is committed. */
  readonly perWorker: TrafficBytes;
}

export class Traffic {
  readonly #counts = {
    parameters: { down: 0, up: 0 },
    contributions: { down: 0, up: 0 },
    control: { down: 0, up: 0 },
  };

  count(direction: keyof TrafficBytes, of: TrafficClass, bytes: number): void {
    this.#counts[of][direction] += bytes;
  }

  /** Everything counted since the last call. */
  take(workers: number): StepBytes {
    const counts = this.#counts;
    const parts = {
      parameters: { ...counts.parameters },
      contributions: { ...counts.contributions },
      control: { ...counts.control },
    };
    for (const part of Object.values(counts)) Object.assign(part, { down: 0, up: 0 });
    const down = parts.parameters.down + parts.contributions.down + parts.control.down;
    const up = parts.parameters.up + parts.contributions.up + parts.control.up;
    const mean = (bytes: number) => Math.round(bytes / Math.max(1, workers));
    return { down, up, ...parts, perWorker: { down: mean(down), up: mean(up) } };
  }
}

// Plans one round after another: what it computes, and what of the parameters goes down for it.

import type { RunProgress, WireBlob } from "../../state/training-state.ts";
import { Downlink } from "../../training/downlink.ts";
import { planOf, type RoundPlan, type RoundSubject } from "../../training/round-plan.ts";
import type { Training } from "../../training/training.ts";

export interface PlannerOptions {
  readonly training: Pick<Training, "parameters">;
  readonly progress: RunProgress;
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
}

export class Planner {
  readonly #options: PlannerOptions;
  readonly #downlink = new Downlink();
  #round = 0;
  #frozen: WireBlob | undefined;

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** Bytes by name: the trained teacher, packed, once a round has named it, and the frames of the newest versions. */
  blob(name: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#frozen?.hash === name ? this.#frozen.bytes : this.#downlink.frame(name);
  }

  /** @param era as in `PlanContext` */
  async plan(subject: RoundSubject, era: number): Promise<RoundPlan> {
    const { training, progress, runTag } = this.#options;
    const { kind, network } = subject;
    const round = ++this.#round;
    // The student's rounds fetch the teacher as a blob, if at all.
    if (network === "student") this.#downlink.release("teacher");
    const holds = { ...this.#downlink.holds, ...(this.#frozen ? { frozen: this.#frozen.hash } : {}) };
    const wire = await training.parameters({ kind, network, round, holds });
    const parameters = wire.versions.map((version) => this.#downlink.update(version));
    if (wire.frozen?.bytes) this.#frozen = { hash: wire.frozen.hash, bytes: wire.frozen.bytes };
    return planOf({ progress, runTag, round, era }, subject, wire, parameters);
  }
}

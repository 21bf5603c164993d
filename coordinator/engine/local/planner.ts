// Plans one round after another: what it computes, and what of the parameters goes down for it.

import type { RunProgress, WireBlob } from "../../state/training-state.ts";
import { Downlink } from "../../training/downlink.ts";
import { planOf, type RoundPlan, type RoundSubject, restingSets } from "../../training/round-plan.ts";
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
  /** Networks that rounds need and do not train, packed, by name. */
  readonly #frozen = new Map<string, WireBlob>();

  constructor(options: PlannerOptions) {
    this.#options = options;
  }

  /** Bytes by name: packed networks, once a round has named them, and the frames of the newest versions. */
  blob(name: string): Uint8Array<ArrayBuffer> | undefined {
    const frozen = [...this.#frozen.values()].find(({ hash }) => hash === name);
    return frozen ? frozen.bytes : this.#downlink.frame(name);
  }

  /** @param era as in `PlanContext` */
  async plan(subject: RoundSubject, era: number): Promise<RoundPlan> {
    const { training, progress, runTag } = this.#options;
    const { phase } = subject;
    const round = ++this.#round;
    const { networks, program, step } = progress;
    for (const set of restingSets(networks, program, step, phase.network)) this.#downlink.release(set);
    const { holds } = this.#downlink;
    const frozen = Object.fromEntries([...this.#frozen].map(([network, { hash }]) => [network, hash]));
    const wire = await training.parameters({ phase: phase.name, round, holds, frozen });
    const parameters = wire.versions.map((version) => this.#downlink.update(version));
    for (const { network, hash, bytes } of wire.frozen) if (bytes) this.#frozen.set(network, { hash, bytes });
    return planOf({ progress, runTag, round, era }, subject, wire, parameters);
  }
}

// The numbers of a small run in the engine's own thread: each of its turns is shorter than the way to another thread
// and back is worth.

import type { StepPlace } from "../../shared/run/program.ts";
import type { StateParts } from "../state/training-state.ts";
import type { HeldWork } from "../sum/contribution.ts";
import type { AuditedWork } from "../sum/open-round.ts";
import type { PartialFacts } from "../sum/partial.ts";
import type { ParametersRequest, PartOf, SumTerms, Training } from "./training.ts";
import type { TrainingCore } from "./training-core.ts";

export class InlineTraining implements Training {
  readonly inline: boolean = true;
  readonly failure = new Promise<never>(() => {});
  readonly core: TrainingCore;

  constructor(core: TrainingCore) {
    this.core = core;
  }

  async parameters(request: ParametersRequest) {
    return this.core.parameters(request);
  }

  open(terms: SumTerms): void {
    this.core.open(terms);
  }

  async check(slot: number, bytes: Uint8Array) {
    return this.core.check(slot, bytes);
  }

  commit(slot: number, scale: number, of: PartOf): void {
    this.core.commit(slot, scale, of);
  }

  add(work: HeldWork, of: PartOf): void {
    this.core.add(work, of);
  }

  async compare(a: AuditedWork, b: AuditedWork) {
    return this.core.compare(a, b);
  }

  async partial(facts: PartialFacts) {
    return this.core.partial(facts);
  }

  async checkPartial(number: number, key: string, bytes: Uint8Array) {
    return this.core.checkPartial(number, key, bytes);
  }

  commitPartial(number: number): void {
    this.core.commitPartial(number);
  }

  async seal() {
    return this.core.seal();
  }

  async apply(place: StepPlace) {
    return this.core.apply(place);
  }

  async parametersHash(network: string) {
    return this.core.parametersHash(network);
  }

  async restore(parts: StateParts) {
    this.core.restore(parts);
  }

  async checkpoint(run: string) {
    return this.core.checkpoint(run);
  }

  async close(): Promise<void> {}
}

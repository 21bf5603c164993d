// The numbers of a run and all that is done to them, without a wait: sums, the optimizer's step, encoding, hashing. One
// owner, in whichever thread it is.

import { BitswarmError } from "../../shared/base/errors.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import type { StepPlace } from "../../shared/run/program.ts";
import { type ContributionLayout, phaseLayout } from "../../shared/wire/contribution.ts";
import { decodeFrame, type Frame } from "../../shared/wire/frame.ts";
import { type CheckpointContents, encodeCheckpoint } from "../checkpoint/checkpoint-contents.ts";
import { exponentsFor } from "../state/exponents.ts";
import {
  frozenNetwork,
  parametersHash,
  restoreParts,
  type StateParts,
  type TrainingState,
  wireBlob,
} from "../state/training-state.ts";
import { applyRound } from "../state/update.ts";
import { RoundSum } from "../sum/aggregate.ts";
import { compareWork } from "../sum/comparison.ts";
import type { HeldWork } from "../sum/contribution.ts";
import { readContribution } from "../sum/contribution.ts";
import { spansOf, UnitReader, type UnitTerms, usualPeaksOf } from "../sum/contribution-units.ts";
import type { AuditedWork } from "../sum/open-round.ts";
import { encodePartial, type PartialFacts, type PartialTerms, type ReadPartial, readPartial } from "../sum/partial.ts";
import { requirePossible } from "../sum/possible-values.ts";
import { Reduction } from "../sum/reduction/reduction.ts";
import { isRobust, RobustRounds } from "../sum/robust-round.ts";
import { DownlinkEncoder } from "./downlink-encoder.ts";
import { contributionLimit, restingSets } from "./round-plan.ts";
import type {
  CheckedFrame,
  ComparedPair,
  ParametersRequest,
  PartOf,
  SealedSum,
  StepResult,
  SumTerms,
  WireParameters,
} from "./training.ts";

interface OpenSum {
  readonly terms: SumTerms;
  readonly layout: ContributionLayout;
  readonly sum: RoundSum;
}

export class TrainingCore {
  readonly state: TrainingState;
  readonly #runTag: string;
  readonly #limitBytes: number;
  /** Sums one round after another in the same memory. */
  readonly #reduction = new Reduction();
  readonly #units = new UnitReader();
  readonly #encoder: DownlinkEncoder;
  readonly #layouts = new Map<string, ContributionLayout>();
  readonly #robust: RobustRounds | undefined;
  /** What lies in the slots, for a run that combines its rounds robustly. */
  readonly #loaded: (Omit<HeldWork, "scale"> | undefined)[] = [];
  #open: OpenSum | undefined;
  /** Of the open round, checked and in no sum yet. */
  readonly #partials = new Map<number, ReadPartial>();

  /** @param runTag 16 bytes in hex: names the run in frames */
  constructor(state: TrainingState, runTag: string) {
    this.state = state;
    this.#runTag = runTag;
    this.#limitBytes = contributionLimit(state);
    const { config, networks } = state;
    const { clip } = config.trust;
    if (isRobust(clip)) this.#robust = new RobustRounds(clip);
    this.#encoder = new DownlinkEncoder({ runTag, config, networks });
  }

  /** The sum of the last round that was opened. */
  get sum(): RoundSum {
    if (!this.#open) throw new RangeError("no round was opened yet");
    return this.#open.sum;
  }

  parameters({ phase: name, round, holds, frozen }: ParametersRequest): WireParameters {
    const { state } = this;
    const phase = phaseNamed(state.program, name);
    const { network, partners, needs } = phase;
    for (const set of restingSets(state.networks, state.program, state.step, network)) this.#encoder.release(set);
    return {
      versions: [network, ...partners].map((set) => {
        return this.#encoder.encode(set, wireBlob(state, set), round, holds[set], state.replicaChanges.get(set));
      }),
      frozen: needs.map((needed) => {
        const { hash, bytes } = frozenNetwork(state, needed);
        return { network: needed, hash, bytes: hash === frozen[needed] ? null : bytes };
      }),
      exponents: exponentsFor(state, name, this.#layout(name)),
    };
  }

  open(terms: SumTerms): void {
    const { phase, exponents, codec, era } = terms;
    const layout = this.#layout(phase);
    this.#partials.clear();
    this.#open = { terms, layout, sum: new RoundSum(layout, exponents, codec, this.#reduction) };
    const { evaluate } = phaseNamed(this.state.program, phase);
    this.#robust?.open({ phase, evaluate, era, spans: spansOf({ layout, exponents, codec }) });
  }

  /** Reads and checks the bytes of a contribution into a slot; the sum does not change. */
  check(slot: number, bytes: Uint8Array): CheckedFrame {
    let frame: Frame | undefined;
    try {
      const open = this.#open;
      frame = open?.sum.decode(bytes, this.#limitBytes, slot) ?? decodeFrame(bytes, this.#limitBytes);
      const { lease, samples } = frame.header;
      if (!open) throw new BitswarmError("CONTRIBUTION_STALE", "a contribution came before the first round");
      const { terms, layout, sum } = open;
      const { peaks, checksum, body } = readContribution(frame, { terms, layout, runTag: this.#runTag });
      const { norms } = sum.check(samples, peaks, body, slot);
      requirePossible({ layout, exponents: terms.exponents, codec: terms.codec }, { samples, peaks, body });
      if (this.#robust) this.#loaded[slot] = { samples, peaks, body };
      return { kind: "sound", lease, samples, checksum, norms };
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      const { code, message } = error;
      if (!frame) return { kind: "unreadable", code, message };
      const { lease, samples } = frame.header;
      return { kind: "unfit", lease, samples, code, message };
    }
  }

  commit(slot: number, scale: number, of: PartOf): void {
    this.sum.commit(slot, scale);
    const loaded = this.#loaded[slot];
    if (loaded) this.#addPart(loaded, of);
  }

  add(work: HeldWork, of: PartOf): void {
    const { samples, peaks, body, scale } = work;
    this.sum.add(samples, peaks, body, scale);
    this.#addPart(work, of);
  }

  #addPart(work: Omit<HeldWork, "scale">, { account, from }: PartOf): void {
    const { samples, peaks } = work;
    this.#robust?.add(() => ({ account, from, samples, peaks, units: this.#units.read(this.#unitTerms, work) }));
  }

  get #unitTerms(): UnitTerms {
    if (!this.#open) throw new RangeError("contributions are read outside of a round");
    const { terms, layout } = this.#open;
    return { layout, exponents: terms.exponents, codec: terms.codec };
  }

  compare(a: AuditedWork, b: AuditedWork): ComparedPair {
    const unitTerms = this.#unitTerms;
    const read = ({ work, deviceClass }: AuditedWork) => {
      return { units: this.#units.read(unitTerms, work), peaks: work.peaks, deviceClass };
    };
    const [one, other] = [read(a), read(b)];
    const round = { spans: spansOf(unitTerms), peaks: usualPeaksOf(unitTerms) };
    return [compareWork(one, other, round), compareWork(other, one, round)];
  }

  partial(facts: PartialFacts): Uint8Array<ArrayBuffer> {
    // A leader's for those who follow names no contributions, which may be those of a hundred gateways.
    const whole = facts.contributions.length === 0;
    return encodePartial(this.#partialTerms, { facts, sums: this.sum.partial(whole) });
  }

  checkPartial(number: number, key: string, bytes: Uint8Array): PartialFacts {
    const partial = readPartial(bytes, this.#partialTerms);
    if (partial.facts.key !== key) {
      const message = `partial: it is of round ${partial.facts.key.slice(0, 16)}; ${key.slice(0, 16)} is open`;
      throw new BitswarmError("CONTRIBUTION_MISMATCH", message);
    }
    this.sum.requireMergeable(partial);
    this.#partials.set(number, partial);
    return partial.facts;
  }

  commitPartial(number: number): void {
    const partial = this.#partials.get(number);
    if (!partial) throw new RangeError(`partial ${number} was not checked in this round`);
    this.#partials.delete(number);
    this.sum.merge(partial);
  }

  get #partialTerms(): PartialTerms {
    if (!this.#open) throw new RangeError("a partial is asked for outside of a round");
    const { layout, terms } = this.#open;
    return { layout, codec: terms.codec, parametersHash: terms.parametersHash, runTag: this.#runTag };
  }

  seal(): SealedSum {
    const { sum } = this;
    const robust = this.#robust?.combine();
    if (robust) sum.settle(robust);
    return { samples: sum.samples, metrics: sum.metrics() };
  }

  apply(place: StepPlace): StepResult {
    const applied = applyRound(this.state, place, this.sum);
    return { ...applied, paramsHash: parametersHash(this.state, place.pass.network) };
  }

  parametersHash(network: string): string {
    return parametersHash(this.state, network);
  }

  /** Goes back to what these parts are of. */
  restore(parts: StateParts): void {
    restoreParts(this.state, parts);
  }

  checkpoint(run: string): CheckpointContents {
    return encodeCheckpoint(this.state, run);
  }

  #layout(phase: string): ContributionLayout {
    const { networks, program, config } = this.state;
    const layout = this.#layouts.get(phase) ?? phaseLayout(networks, phaseNamed(program, phase), config.sync.kind);
    this.#layouts.set(phase, layout);
    return layout;
  }
}

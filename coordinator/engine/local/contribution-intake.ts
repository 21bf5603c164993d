// Takes the bytes of contributions into a round's sum: read and checked where they are summed, judged by trust, added
// or held back (SPEC.md, C and R).

import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError, type Refusal } from "../../../shared/base/errors.ts";
import { type LeaseId, leaseId, type WorkerId } from "../../../shared/base/ids.ts";
import type { Range } from "../../../shared/base/intervals.ts";
import { readPayload } from "../../../shared/wire/contribution-payload.ts";
import { decodeFrame, frameHeaderBytes } from "../../../shared/wire/frame.ts";
import type { SampleChecks } from "../../data-checks/data-checks.ts";
import type { Lease } from "../../round/lease.ts";
import { contributionVerdict, type RoundState } from "../../round/state.ts";
import type { Comparison } from "../../sum/comparison.ts";
import { type Contribution, readContribution } from "../../sum/contribution.ts";
import { usualPeaksOf } from "../../sum/contribution-units.ts";
import type { OpenRound } from "../../sum/open-round.ts";
import type { PartialFacts } from "../../sum/partial.ts";
import { slotCount } from "../../sum/reduction/round-memory.ts";
import { contributionBytes, type RoundPlan } from "../../training/round-plan.ts";
import type { CheckedFrame, PartOf, SealedSum, Training } from "../../training/training.ts";
import { type FarAnswer, nothingFollows, type TrustOutcome } from "../../trust/audits.ts";
import type { RoundTrust } from "../../trust/round-trust.ts";

/** Values that a turn of the event loop adds to a sum at its seal: some three milliseconds. */
export const ADDED_A_TURN = 1 << 20;

export interface IntakeOptions {
  readonly clock: Pick<Clock, "after">;
  /** Where contributions are checked and summed. */
  readonly training: Pick<Training, "inline" | "open" | "check" | "commit" | "compare" | "add" | "seal"> &
    Pick<Training, "checkPartial" | "commitPartial">;
  /** Judges contributions and audits them; without it all that is well formed is believed. */
  readonly trust?: RoundTrust;
  /** Positions of the pass at slots that were leased, ascending; the slots themselves unless given. */
  readonly positionsOf?: (slots: Range) => readonly Range[];
  /** Knows what some leases' samples are decoded to. */
  readonly sampleChecks?: SampleChecks;
}

/** What became of a contribution. One that is `taken` is in the sum, held back, or compared only. */
export type Intake =
  | { readonly kind: "taken"; readonly lease: LeaseId; readonly samples: number; readonly follows: TrustOutcome }
  | ({ readonly kind: "refused"; readonly lease: LeaseId; readonly follows: TrustOutcome } & Refusal);

export interface Arrival {
  readonly worker: WorkerId;
  readonly bytes: Uint8Array;
  /** The lease to name where the frame cannot be read. */
  readonly held: LeaseId | undefined;
  /** The round as it is when the contribution has been checked. */
  readonly state: () => RoundState;
  /** Told at the very moment at which the sum changes, or does not. */
  readonly done: (intake: Intake) => void;
}

type SoundFrame = Extract<CheckedFrame, { kind: "sound" }>;

interface Waiting extends Arrival {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Its samples are decoded to other bytes than everywhere else. */
function misread(lease: LeaseId, said: number, right: number): Refusal {
  const hex = (checksum: number) => checksum.toString(16).padStart(8, "0");
  return {
    code: "DATA_MISMATCH",
    message: `the samples of lease ${lease} have the checksum ${hex(right)}; this worker decoded ${hex(said)}. Clear what it keeps of the run's data (the page's button, or its cache folder), update it or reload the page; if it comes again, test this machine's memory`,
  };
}

function disputed(lease: LeaseId): Refusal {
  return {
    code: "CONTRIBUTION_DISPUTED",
    message: `the results of lease ${lease} differ from others'; its range goes to another worker`,
  };
}

export class ContributionIntake {
  readonly #options: IntakeOptions;
  #plan: RoundPlan | undefined;
  #nextPartial = 1;
  /** What is known of two contributions, by their bodies; whoever holds none of them needs it no more. */
  readonly #compared = new WeakMap<Uint8Array, WeakMap<Uint8Array, Comparison>>();
  /** Settles once the contribution before is. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Slots of the reduction in which nothing is being checked. */
  readonly #slots = Array.from({ length: slotCount }, (_, slot) => slot);
  /** Contributions for which no slot was free, in the order in which they came. */
  readonly #waiting: Waiting[] = [];

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /**
   * Begins a round's sum; that of the round before is no longer valid.
   * @param crew who takes part, whenever that is asked
   */
  open(plan: RoundPlan, crew: Pick<OpenRound, "accounts" | "own" | "ownTakesPart">): void {
    const { training, trust } = this.#options;
    const { terms, layout } = plan;
    const { phase, round, parametersHash, codec, exponents, era } = terms;
    this.#plan = plan;
    training.open({ phase, round, parametersHash, codec, exponents, era });
    trust?.open({
      phase,
      codec,
      peaks: usualPeaksOf({ layout, exponents, codec }),
      compared: (a, b) => this.#known(a.work.body, b.work.body),
      contributionBytes: contributionBytes(plan),
      replicas: plan.local,
      ...crew,
    });
  }

  /** Ends the round with what was held back and nobody contradicted. Nothing is taken any more. */
  async seal(): Promise<SealedSum> {
    if (!this.#plan) throw new RangeError("a round is sealed that is not open");
    const { size } = this.#plan.layout;
    this.#plan = undefined;
    const { training, trust, clock } = this.#options;
    const turn = Math.ceil(ADDED_A_TURN / Math.max(size, 1));
    for (const [index, { work, ...of }] of (trust?.seal() ?? []).entries()) {
      if (training.inline && index > 0 && index % turn === 0) await new Promise<void>((go) => void clock.after(0, go));
      training.add(work, this.#partOf(of));
    }
    return training.seal();
  }

  /**
   * Checks a gateway's sum, and adds it where `due` says of what is in it that it is still waited for: in the same
   * turn, or the round would count what it has leased to another meanwhile. @throws as Training.checkPartial()
   */
  async takePartial(key: string, bytes: Uint8Array, due: (facts: PartialFacts) => boolean): Promise<boolean> {
    const { training, trust } = this.#options;
    const plan = this.#plan;
    const number = this.#nextPartial++;
    const facts = await training.checkPartial(number, key, bytes);
    if (!this.#plan || this.#plan !== plan || !due(facts)) return false;
    training.commitPartial(number);
    trust?.observe(facts);
    return true;
  }

  /** Where in the pass it begins: in which order slots are leased changes no bit. */
  #partOf({ account, from, to }: Range & Pick<Lease, "account">): PartOf {
    const [first] = this.#options.positionsOf?.({ from, to }) ?? [{ from }];
    return { account, from: first.from };
  }

  /** Gives up the round. */
  drop(): void {
    this.#plan = undefined;
  }

  /**
   * Takes the bytes of a contribution frame from a worker; what is refused changes nothing. One after another, in the
   * order in which they come.
   * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH where there is no lease to name
   */
  take(arrival: Arrival): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...arrival, resolve, reject });
      this.#check();
    });
  }

  /**
   * Takes the frame of another gateway's account, which was checked there, as an answer to an audit of this round; one
   * after another with those that come. What is no contribution to the audited range changes nothing.
   * @param audited the range
   */
  takeFar(of: LeaseId, answer: FarAnswer, bytes: Uint8Array, audited: Range): Promise<TrustOutcome> {
    const taken = this.#turn.then(() => this.#takeFar(of, answer, bytes, audited));
    this.#turn = taken.catch(() => undefined);
    return taken;
  }

  async #takeFar(of: LeaseId, answer: FarAnswer, bytes: Uint8Array, { from, to }: Range): Promise<TrustOutcome> {
    const { training, trust } = this.#options;
    const plan = this.#plan;
    if (!trust || !plan) return nothingFollows;
    const frame = decodeFrame(bytes, contributionBytes(plan));
    const { samples, round } = frame.header;
    // Rounds are of each gateway's own count.
    const { peaks, body } = readContribution(frame, { ...plan, terms: { ...plan.terms, round } });
    if (samples !== to - from) return nothingFollows;
    const work = { samples, scale: 1, peaks, body };
    const { account, deviceClass } = answer;
    for (const theirs of trust.answersFar(of, account)) {
      const [ab, ba] = await training.compare(theirs, { work, deviceClass });
      this.#note(theirs.work.body, body, ab);
      this.#note(body, theirs.work.body, ba);
    }
    return this.#plan === plan ? trust.takeFar(of, answer, work) : nothingFollows;
  }

  #check(): void {
    for (let slot = this.#slots.pop(); slot !== undefined; slot = this.#slots.pop()) {
      const next = this.#waiting.shift();
      const used = slot;
      if (!next) {
        this.#slots.push(used);
        return;
      }
      const checked = this.#options.training.check(used, next.bytes);
      // One after another: each may have to be compared with the one before.
      const settled = Promise.all([checked, this.#turn])
        .then(([frame]) => this.#settle(used, next, frame))
        .finally(() => this.#slots.push(used));
      this.#turn = settled.catch(() => undefined);
      settled.then(next.resolve, next.reject).finally(() => this.#check());
    }
  }

  async #settle(slot: number, arrival: Arrival, checked: CheckedFrame): Promise<void> {
    const own = this.#plan && checked.kind === "sound" ? ownParts(arrival.bytes, this.#plan) : undefined;
    if (own && checked.kind === "sound") await this.#compare(arrival, checked, own);
    // Nothing may come between the look at the lease and the word that it is answered.
    arrival.done(this.#verdict(slot, arrival, checked, own));
  }

  /**
   * Compares an answer to an audited range with those before it, where the sums are, for trust to know when it is
   * judged.
   */
  async #compare({ worker, state }: Arrival, { lease, samples }: SoundFrame, own: Contribution): Promise<void> {
    const { training, trust } = this.#options;
    const live = contributionVerdict(state(), worker, leaseId(lease), samples);
    if (!trust || "code" in live) return;
    const { answers, deviceClass } = trust.answersTo(live);
    const { peaks, body } = own;
    const mine = { work: { samples, scale: 1, peaks, body }, deviceClass };
    for (const theirs of answers) {
      const [ab, ba] = await training.compare(theirs, mine);
      this.#note(theirs.work.body, body, ab);
      this.#note(body, theirs.work.body, ba);
    }
  }

  #note(a: Uint8Array, b: Uint8Array, comparison: Comparison): void {
    const known = this.#compared.get(a) ?? new WeakMap<Uint8Array, Comparison>();
    this.#compared.set(a, known.set(b, comparison));
  }

  #known(a: Uint8Array, b: Uint8Array): Comparison {
    const comparison = this.#compared.get(a)?.get(b);
    if (!comparison) throw new RangeError("two answers to an audit were not compared");
    return comparison;
  }

  /** What becomes of a contribution that was checked. */
  #verdict(
    slot: number,
    { worker, held, state }: Arrival,
    checked: CheckedFrame,
    own: Contribution | undefined,
  ): Intake {
    const refused = (lease: LeaseId, { code, message }: Refusal, follows = nothingFollows): Intake => {
      return { kind: "refused", lease, follows, code, message };
    };
    if (checked.kind === "unreadable") {
      if (held === undefined) throw new BitswarmError(checked.code, checked.message);
      return refused(held, checked);
    }
    const lease = leaseId(checked.lease);
    const { samples } = checked;
    const live = contributionVerdict(state(), worker, lease, samples);
    if ("code" in live) return refused(lease, live);
    if (checked.kind === "unfit") return refused(lease, checked);
    const right = this.#options.sampleChecks?.checksum(lease);
    if (right !== undefined && right !== checked.checksum)
      return refused(lease, misread(lease, checked.checksum, right));
    try {
      if (!own) throw new RangeError("a lease is live outside of a round");
      const follows = this.#admit(slot, live, checked, own);
      return follows.disputed ? refused(lease, disputed(lease), follows) : { kind: "taken", lease, samples, follows };
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      return refused(lease, error);
    }
  }

  /** Adds a contribution to the sum, or leaves it to an audit. @throws what trust refuses it for */
  #admit(slot: number, lease: Lease, { samples, norms }: SoundFrame, { peaks, body }: Contribution): TrustOutcome {
    const { training, trust } = this.#options;
    const counts = lease.purpose === "work" || lease.purpose === "backup";
    const scale = counts && trust ? trust.judge(lease, samples, norms, peaks) : 1;
    const unlike = trust?.withdrawUnlike() ?? [];
    let outcome = nothingFollows;
    if (!counts || trust?.holds(lease)) outcome = trust?.take(lease, { samples, scale, peaks, body }) ?? nothingFollows;
    else training.commit(slot, scale, this.#partOf(lease));
    return unlike.length === 0 ? outcome : { ...outcome, withdrawn: [...unlike, ...outcome.withdrawn] };
  }
}

/**
 * The parts of a frame that was checked. What lies in a buffer that others share is copied: they may be held for long.
 */
function ownParts(bytes: Uint8Array, { layout }: RoundPlan): Contribution {
  const { body, ...head } = readPayload(bytes.subarray(frameHeaderBytes), layout.tensors.length);
  return { ...head, body: bytes.length === bytes.buffer.byteLength ? body : new Uint8Array(body) };
}

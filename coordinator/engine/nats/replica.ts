// A standby's copy of a run: applies each committed sum as the leader did, and compares what comes out. Whoever has
// other parameters than were committed is no standby.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { placeOf } from "../../../shared/run/program.ts";
import type { CommitRecord } from "../../checkpoint/commit-log.ts";
import { type CommitLog, readCommitLine } from "../../checkpoint/commit-log.ts";
import type { Bulk } from "../../cluster/bulk.ts";
import type { Payload } from "../../cluster/messages.ts";
import { sealMode } from "../../round/deadline.ts";
import type { Ledger } from "../../round/ledger.ts";
import { type RunProgress, recordEvaluation } from "../../state/training-state.ts";
import type { StepResult, Training } from "../../training/training.ts";
import type { TrustStore } from "../../trust/trust-file.ts";
import { takeAside } from "./aside.ts";

type Commit = Payload<"commit">;
type StepRecord = Extract<CommitRecord, { type: "step" }>;

export interface ReplicaOptions {
  readonly progress: RunProgress;
  readonly training: Training;
  readonly ledger: Ledger;
  readonly log: CommitLog;
  readonly bulk: Bulk;
  readonly trust: TrustStore;
  /** Told of each record once it is applied here. */
  readonly onApplied: (record: CommitRecord, result?: StepResult) => void;
}

/** A record that is in the log, and not in the parameters yet. */
interface Due {
  readonly record: CommitRecord;
  readonly commit: Commit;
}

export class Replica {
  readonly #options: ReplicaOptions;
  /** What was heard and does not follow what is in the log, by the number of its record. */
  readonly #heard = new Map<number, Commit>();
  #due: Due[] = [];
  #following: Promise<void> = Promise.resolve();
  #applying: Promise<void> = Promise.resolve();
  /** Records in the log whose steps could not be made here: their sums are nowhere. */
  #lost = false;
  #applied: number;
  #failure: unknown;
  /** Ends what is fetched from whoever led. */
  #gone = new AbortController();
  #asideOf = 0;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#applied = options.log.length;
  }

  /** Whether the log has steps that are not in the parameters, and will not come to be. */
  get lost(): boolean {
    return this.#lost;
  }

  /** Records that are in the parameters. */
  get applied(): number {
    return this.#applied;
  }

  /** What ends it as a replica, if anything does. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Whoever led is gone: nothing more comes of it. */
  hurry(): void {
    this.#gone.abort(new Error("whoever led is gone"));
    this.#gone = new AbortController();
  }

  /** What is done once all that was heard is applied, and before anything that comes later. */
  after(call: () => Promise<void>): void {
    this.#applying = this.#applying.then(call).catch((error) => {
      this.#failure ??= error;
    });
  }

  /** The log has it as soon as it is heard; the parameters as soon as its sum is here. */
  hear(commit: Commit): void {
    if (commit.length <= this.#options.log.length) return;
    this.#heard.set(commit.length, commit);
    this.#follow();
  }

  /** Takes a record of which nothing but the line is left. */
  async missed(head: Pick<Commit, "length" | "line" | "before" | "step" | "chain">): Promise<void> {
    this.hear({ ...head, epoch: 0, life: 0, leader: "", key: null, terms: null, sum: null, aside: null });
    await this.settle();
    if (this.#failure !== undefined) throw this.#failure;
    const { length } = this.#options.log;
    if (length < head.length) throw diverged(`${head.length} records are committed, and it has ${length} of them`);
  }

  /** Resolves once all that was heard in a row is in the log, and applied as far as it can be. */
  async settle(): Promise<void> {
    await this.#following;
    await this.#applying;
  }

  #follow(): void {
    this.#following = this.#following
      .then(async () => {
        const { log } = this.#options;
        for (let next = this.#heard.get(log.length + 1); next; next = this.#heard.get(log.length + 1)) {
          if (this.#failure !== undefined) return;
          this.#heard.delete(next.length);
          const { line, before, length } = next;
          if (before !== log.head)
            throw diverged(`its log ends with ${log.head}, and record ${length} follows ${before}`);
          const { record } = readCommitLine(line, log.head);
          await log.follow(line);
          this.#due.push({ record, commit: next });
          this.after(() => this.#applyNext());
        }
        for (const length of this.#heard.keys()) if (length <= log.length) this.#heard.delete(length);
      })
      .catch((error) => {
        this.#failure ??= error;
      });
  }

  async #applyNext(): Promise<void> {
    const due = this.#due.shift();
    if (!due || this.#failure !== undefined) return;
    const { record, commit } = due;
    const { progress, onApplied } = this.#options;
    let result: StepResult | undefined;
    if (record.type === "resume" || record.type === "repair") {
      // What was lost here was given up by a new leader, too.
      if (record.fromStep !== progress.step)
        throw diverged(`the run goes on from step ${record.fromStep}, and this copy is at ${progress.step}`);
      this.#lost = false;
    } else if (this.#lost) return;
    else if (record.type === "step") {
      result = await this.#step(record, commit);
      this.#lost = result === undefined;
      if (!result) return;
    } else recordEvaluation(progress, record.network, record.value, record.others ?? {});
    this.#applied = commit.length;
    onApplied(record, result);
    this.#asideOf = commit.length;
    void this.#takeAside(commit);
  }

  /** Nothing where its sum is nowhere. */
  async #step(record: StepRecord, { key, terms, sum, leader }: Commit): Promise<StepResult | undefined> {
    const { progress, training, ledger, bulk } = this.#options;
    if (record.step !== progress.step + 1)
      throw diverged(`step ${record.step} is committed, and this copy is at ${progress.step}`);
    if (!terms || key === null || !sum) return undefined;
    const { signal } = this.#gone;
    const bytes = await bulk.fetch({ holder: leader, ...sum, signal }).catch(() => undefined);
    if (!bytes) return undefined;
    const { phase, round, parametersHash, codec, exponents, era } = terms;
    training.open({ phase, round, parametersHash, codec, exponents, era });
    await training.checkPartial(0, key, bytes).catch((error) => {
      if (!(error instanceof BitswarmError) || error.code === "THREAD_FAILED") throw error;
      throw diverged(`the sum of step ${record.step} does not fit: ${error.message}`);
    });
    training.commitPartial(0);
    await training.seal();
    const { config, program } = progress;
    const place = placeOf(program, progress.step, config.batch);
    ledger.commitStep(place, record.ranges, config.batch, sealMode(config));
    const result = await training.apply(place);
    progress.step++;
    if (result.paramsHash === record.paramsHash) return result;
    throw diverged(
      `after step ${record.step} its parameters are ${result.paramsHash}, committed are ${record.paramsHash}`,
    );
  }

  /** That it is lost costs audits, and no sample. */
  async #takeAside({ aside, leader, length }: Commit): Promise<void> {
    const { bulk, progress, trust } = this.#options;
    if (!aside) return;
    const { signal } = this.#gone;
    const bytes = await bulk.fetch({ holder: leader, ...aside, signal }).catch(() => undefined);
    if (!bytes || this.#asideOf !== length) return;
    const standings = takeAside(progress, bytes);
    if (standings) await trust.write(standings).catch(() => undefined);
  }
}

export function diverged(what: string): BitswarmError {
  return new BitswarmError(
    "REPLICA_DIVERGED",
    `this coordinator's copy of the run is another: ${what}; it loads the run again`,
  );
}

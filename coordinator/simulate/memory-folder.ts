// A coordinator's folder in memory: its log, its checkpoint and what accounts have earned, which outlive it. Nothing of
// it waits for a disk, so that virtual time stands still meanwhile.

import { deserialize, serialize } from "node:v8";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { CheckpointContents } from "../checkpoint/checkpoint-contents.ts";
import { type CommitLog, type CommitRecord, commitLine, firstLink, readCommitLine } from "../checkpoint/commit-log.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { EngineRun } from "../engine/engine.ts";
import type { KeptRun, RunKeeping } from "../engine/run-keeping.ts";
import { Ledger } from "../round/ledger.ts";
import { assembleState, type RunProgress, type StateParts, type TrainingState } from "../state/training-state.ts";
import type { PartialFacts } from "../sum/partial.ts";
import { InlineTraining } from "../training/inline-training.ts";
import type { SumTerms } from "../training/training.ts";
import { newcomer, type Standing } from "../trust/standing.ts";
import type { TrustStore } from "../trust/trust-file.ts";

export interface MemoryCheckpoint {
  readonly parts: StateParts;
  readonly ledger: unknown;
  readonly step: number;
}

type Progress = Pick<RunProgress, "step" | "evaluations" | "others" | "evaluatedAt" | "norms" | "peaks">;

export function memoryCheckpoint(state: TrainingState, progress: Progress, ledger: Ledger): MemoryCheckpoint {
  const { config: _config, dataset: _dataset, networks: _networks, program: _program, blobs: _blobs, ...parts } = state;
  return checkpointOf(parts, progress, ledger);
}

function checkpointOf(parts: StateParts, progress: Progress, ledger: Ledger): MemoryCheckpoint {
  const { step, evaluations, others, evaluatedAt, norms, peaks } = progress;
  const whole = structuredClone({ ...parts, step, evaluations, others, evaluatedAt, norms, peaks });
  return { parts: whole, ledger: structuredClone(ledger.toJSON()), step };
}

/** The numbers of a small run, each checkpoint of which is kept as it was when it was encoded. */
export class MemoryTraining extends InlineTraining {
  readonly #parts = new WeakMap<CheckpointContents, StateParts>();
  /** Hashes of gateways' sums that were checked, and of those that the round at hand is made of. */
  readonly #checked = new Map<number, string>();
  #merged: string[] = [];

  get merged(): readonly string[] {
    return this.#merged;
  }

  override open(terms: SumTerms): void {
    super.open(terms);
    this.#checked.clear();
    this.#merged = [];
  }

  override async checkPartial(number: number, key: string, bytes: Uint8Array): Promise<PartialFacts> {
    const facts = await super.checkPartial(number, key, bytes);
    this.#checked.set(number, contentHash(bytes));
    return facts;
  }

  override commitPartial(number: number): void {
    super.commitPartial(number);
    const merged = this.#checked.get(number);
    if (merged !== undefined) this.#merged.push(merged);
  }

  override async checkpoint(run: string): Promise<CheckpointContents> {
    const contents = await super.checkpoint(run);
    const { config: _c, dataset: _d, networks: _n, program: _p, blobs: _b, ...parts } = this.core.state;
    this.#parts.set(contents, structuredClone(parts));
    return contents;
  }

  /** @throws RangeError where the contents are none of its own */
  partsOf(contents: CheckpointContents): StateParts {
    const parts = this.#parts.get(contents);
    if (!parts) throw new RangeError("a checkpoint is written of numbers that are not here");
    return parts;
  }
}

/** Its newest step is that of the numbers that all of its records come to. */
class MemoryLog implements CommitLog {
  readonly folder: string;
  readonly records: readonly CommitRecord[] = [];
  readonly notice = null;
  readonly fence = 1;
  readonly #onRecord: (length: number, record: CommitRecord) => void;
  #lines: string[] = [];
  #hashes: string[] = [firstLink];
  step = 0;

  constructor(folder: string, onRecord: (length: number, record: CommitRecord) => void) {
    this.folder = folder;
    this.#onRecord = onRecord;
  }

  get head(): string {
    return this.#hashes[this.length];
  }

  get length(): number {
    return this.#lines.length;
  }

  hashAt(length: number): string | undefined {
    return this.#hashes[length];
  }

  async follow(line: string): Promise<void> {
    const { record, h } = readCommitLine(line, this.head);
    this.#lines.push(line);
    this.#hashes.push(h);
    if (record.type === "step") this.step = record.step;
    if (record.type === "resume") this.step = record.fromStep;
    this.#onRecord(this.length, record);
  }

  async lines(length: number): Promise<Uint8Array> {
    const lines = this.#lines.slice(0, length).map((line) => `${line}\n`);
    return new TextEncoder().encode(lines.join(""));
  }

  async become(lines: Uint8Array): Promise<void> {
    this.#lines = [];
    this.#hashes = [firstLink];
    this.step = 0;
    const text = new TextDecoder().decode(lines);
    for (const line of text.split("\n").filter((one) => one !== "")) await this.follow(line);
  }

  async append(record: CommitRecord): Promise<void> {
    await this.follow(commitLine(this.head, record, this.fence).line);
  }

  async requireNewest(): Promise<void> {}

  async close(): Promise<void> {}
}

export interface MemoryFolderOptions {
  readonly name: string;
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly token: string;
  readonly operatorToken: string;
  /** Told of each record that is in the log. */
  readonly onRecord: (length: number, record: CommitRecord) => void;
}

/** The one file of its checkpoints. */
const STATE = "state";

export class MemoryFolder {
  readonly log: MemoryLog;
  readonly #options: MemoryFolderOptions;
  #checkpoint: { readonly name: string; readonly step: number; readonly bytes: Uint8Array } | undefined;
  #standings: ReadonlyMap<string, Standing> = new Map();

  constructor(options: MemoryFolderOptions) {
    this.#options = options;
    this.log = new MemoryLog(options.name, options.onRecord);
  }

  write(checkpoint: MemoryCheckpoint): string {
    const { step } = checkpoint;
    const name = `checkpoint of step ${step}`;
    this.#checkpoint = { name, step, bytes: serialize(checkpoint) };
    return name;
  }

  /** How an engine writes one, of numbers that are in this process. */
  writer(training: () => MemoryTraining): EngineRun["writeCheckpoint"] {
    return async (contents, progress, ledger) =>
      this.write(checkpointOf(training().partsOf(contents), progress, ledger));
  }

  get keeping(): RunKeeping {
    const { config, token, operatorToken } = this.#options;
    return {
      log: this.log,
      due: this.#due,
      copy: async (name, length): Promise<KeptRun> => {
        const found = this.#checkpoint;
        if (found?.name !== name) throw new RangeError(`there is no ${name}`);
        return { step: found.step, log: await this.log.lines(length), files: new Map([[STATE, found.bytes]]) };
      },
      become: async ({ log, files, step }) => {
        await this.log.become(log);
        const bytes = files.get(STATE);
        if (!bytes) throw new RangeError("another coordinator's checkpoint has no state");
        return this.#restored(this.write(deserialize(bytes) as MemoryCheckpoint), step, bytes);
      },
      about: { config: JSON.stringify(config), token, operatorToken, dashboardToken: operatorToken },
    };
  }

  /** Where the log is ahead of the checkpoint, that the run goes on from that. */
  get #due(): readonly CommitRecord[] {
    const { step: fromStep, name: checkpoint } = this.#checkpoint ?? { step: 0, name: "none" };
    return this.log.step > fromStep ? [{ type: "resume", fromStep, checkpoint }] : [];
  }

  /** The run as its newest checkpoint has it; nothing before there is one. */
  get restored(): Awaited<ReturnType<RunKeeping["become"]>> | undefined {
    const found = this.#checkpoint;
    return found && this.#restored(found.name, found.step, found.bytes);
  }

  #restored(checkpoint: string, step: number, bytes: Uint8Array): Awaited<ReturnType<RunKeeping["become"]>> {
    const { config, dataset } = this.#options;
    const { parts, ledger } = deserialize(bytes) as MemoryCheckpoint;
    return { state: assembleState(config, dataset, { ...parts, step }), ledger: Ledger.fromJSON(ledger), checkpoint };
  }

  get trust(): TrustStore {
    return {
      read: async () => {
        const kept = [...this.#standings].map(([account, { consecutiveValid, strikes }]) => {
          return [account, { ...newcomer, consecutiveValid, strikes }] as const;
        });
        return { standings: new Map(kept), notice: null };
      },
      write: async (standings) => {
        this.#standings = new Map(standings);
      },
    };
  }
}

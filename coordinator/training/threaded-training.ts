// The numbers of a large run in a thread of their own: the engine's thread never waits for them, it is told
// (architecture, section 8).

import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { StepPlace } from "../../shared/run/program.ts";
import { commandText } from "../base/command-text.ts";
import { builtFolder } from "../base/package-root.ts";
import type { CheckpointContents } from "../checkpoint/checkpoint-contents.ts";
import { type StateParts, type TrainingState, takeParts } from "../state/training-state.ts";
import type { HeldWork } from "../sum/contribution.ts";
import type { AuditedWork } from "../sum/open-round.ts";
import type { PartialFacts } from "../sum/partial.ts";
import type {
  CheckedFrame,
  ComparedPair,
  ParametersRequest,
  PartOf,
  SealedSum,
  StepResult,
  SumTerms,
  Training,
  WireParameters,
} from "./training.ts";
import type { ThreadCalls, ThreadOrder, ThreadQuestion, ThreadReply, ThreadStart } from "./training-messages.ts";

type Call = keyof ThreadCalls;

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Without what others keep beside it. */
function postable({ work, deviceClass }: AuditedWork): AuditedWork {
  return { work, deviceClass };
}

function postablePart({ account, from }: PartOf): PartOf {
  return { account, from };
}

export class ThreadedTraining implements Training {
  readonly inline = false;
  readonly failure: Promise<Error>;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #state: "running" | "closing" | Error = "running";
  #failed: (error: Error) => void = () => {};

  /**
   * Moves a state's numbers into a thread; what is left of it is empty.
   * @throws THREAD_FAILED where the thread does not begin
   */
  static async start(state: TrainingState, runTag: string): Promise<ThreadedTraining> {
    const { config, dataset } = state;
    const workerData: ThreadStart = { config, dataset, parts: takeParts(state), runTag };
    const program = join(builtFolder(), "coordinator", "training", "training-thread.js");
    const training = new ThreadedTraining(new Worker(program, { workerData, stdin: false }));
    await training.#begun();
    return training;
  }

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.failure = new Promise((resolve) => {
      this.#failed = resolve;
    });
    worker.on("message", (reply: ThreadReply) => this.#hear(reply));
    worker.on("error", (error) => this.#end(error));
    worker.on("exit", (code) => this.#end(new Error(`it exited with ${code}`)));
  }

  async parameters(request: ParametersRequest): Promise<WireParameters> {
    const { versions, ...rest } = await this.#ask("parameters", { request });
    const encoded = versions.map(({ contents, ...version }) => ({
      ...version,
      contents: contents && { ...contents, whole: () => contents.whole },
    }));
    return { ...rest, versions: encoded };
  }

  open(terms: SumTerms): void {
    this.#order({ call: "open", terms });
  }

  /** What does not lie in shared memory is copied: the small. */
  check(slot: number, bytes: Uint8Array): Promise<CheckedFrame> {
    return this.#ask("check", {
      slot,
      bytes: bytes.buffer instanceof SharedArrayBuffer ? bytes : new Uint8Array(bytes),
    });
  }

  commit(slot: number, scale: number, of: PartOf): void {
    this.#order({ call: "commit", slot, scale, of: postablePart(of) });
  }

  add(work: HeldWork, of: PartOf): void {
    this.#order({ call: "add", work, of: postablePart(of) });
  }

  compare(a: AuditedWork, b: AuditedWork): Promise<ComparedPair> {
    return this.#ask("compare", { a: postable(a), b: postable(b) });
  }

  partial(facts: PartialFacts): Promise<Uint8Array<ArrayBuffer>> {
    return this.#ask("partial", { facts });
  }

  checkPartial(number: number, key: string, bytes: Uint8Array): Promise<PartialFacts> {
    return this.#ask("checkPartial", { number, key, bytes });
  }

  commitPartial(number: number): void {
    this.#order({ call: "commitPartial", number });
  }

  seal(): Promise<SealedSum> {
    return this.#ask("seal", {});
  }

  apply(place: StepPlace): Promise<StepResult> {
    return this.#ask("apply", { place });
  }

  parametersHash(network: string): Promise<string> {
    return this.#ask("parametersHash", { network });
  }

  async restore(parts: StateParts): Promise<void> {
    await this.#ask("restore", { parts });
  }

  checkpoint(run: string): Promise<CheckpointContents> {
    return this.#ask("checkpoint", { run });
  }

  /** Ends the thread; what it has not answered never is. */
  async close(): Promise<void> {
    if (this.#state === "running") this.#state = "closing";
    await this.#worker.terminate();
  }

  #begun(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#worker.once("message", () => resolve());
      this.failure.then(reject);
    });
  }

  #ask<C extends Call>(call: C, asks: ThreadCalls[C]["asks"]): Promise<ThreadCalls[C]["gets"]> {
    return new Promise((resolve, reject) => {
      if (this.#state instanceof Error) {
        reject(this.#state);
        return;
      }
      const id = this.#nextId++;
      this.#pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      this.#worker.postMessage({ call, id, ...asks } as unknown as ThreadQuestion);
    });
  }

  #order(order: ThreadOrder): void {
    this.#worker.postMessage(order);
  }

  #hear(reply: ThreadReply): void {
    if (reply.kind === "ready") return;
    const pending = this.#pending.get(reply.id);
    this.#pending.delete(reply.id);
    if (reply.kind === "answer") pending?.resolve(reply.value);
    else pending?.reject(new BitswarmError(reply.code, reply.message));
  }

  #end(cause: Error): void {
    if (this.#state !== "running") return;
    const error = new BitswarmError(
      "THREAD_FAILED",
      `the thread that sums and steps ended: ${cause.message}. The newest checkpoint is whole, what was computed since then is computed again: go on with \`${commandText("coordinator", ["resume", "RUN_DIR"])}\``,
      { cause },
    );
    this.#state = error;
    this.#failed(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

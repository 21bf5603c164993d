// The workers' side of an engine for its contract: no sockets, but real parameters, real contributions, a real folder.
// What sessions do for a worker is done here by hand.

import { createHash } from "node:crypto";
import { expect, onTestFinished } from "vitest";
import { systemClock } from "../../coordinator/base/clock.ts";
import type { Engine, EngineRun, RunSummary } from "../../coordinator/engine/engine.ts";
import type { Joining } from "../../coordinator/engine/inbox.ts";
import type { Outbox } from "../../coordinator/engine/outbox.ts";
import type { RunEvent } from "../../coordinator/engine/run-event.ts";
import { Traffic } from "../../coordinator/engine/traffic.ts";
import { engineRun } from "../../coordinator/run/engine-run.ts";
import { type OpenRun, reopenRun } from "../../coordinator/run/open-run.ts";
import { framesTo, type ParameterVersion } from "../../coordinator/training/parameter-version.ts";
import type { Refusal } from "../../shared/base/errors.ts";
import { type LeaseId, type WorkerId, workerId } from "../../shared/base/ids.ts";
import { parameterSets, wireForm } from "../../shared/wire/parameter-set.ts";
import type { CancelReason, LeaseMessage } from "../../shared/wire/protocol.ts";
import { digest } from "../../worker/platform/runtime-ports.ts";
import { ParameterStore } from "../../worker/session/parameter-store.ts";
import { frameOf, honestContribution, type ScriptedContribution } from "../fixtures/scripted-contribution.ts";
import { openTestRun } from "../fixtures/test-run.ts";

/** How an engine is made ready for a run. */
export type MakeEngine = (run: EngineRun) => Promise<Engine>;

/** What an engine says to one worker. */
export type Said =
  | { readonly type: "lease"; readonly lease: LeaseMessage; readonly parameters: readonly ParameterVersion[] }
  | { readonly type: "accepted"; readonly lease: LeaseId; readonly samples: number }
  | { readonly type: "rejected"; readonly lease: LeaseId; readonly refusal: Refusal }
  | { readonly type: "cancelled"; readonly lease: LeaseId; readonly reason: CancelReason }
  | { readonly type: "rests"; readonly ms: number }
  | { readonly type: "audited" }
  | { readonly type: "dismissed" };
type SaidOf<T extends Said["type"]> = Extract<Said, { type: T }>;

/** What is said before it counts as not said: engines may take their time. */
const PATIENCE_MS = 30_000;
/** In which an engine that is to keep quiet has had the time to speak. */
const QUIET_MS = 300;

export class StagedWorker {
  readonly name: WorkerId;
  readonly account: string;
  /** All that was said to it, in order. */
  readonly heard: Said[] = [];
  readonly #stage: Stage;
  readonly #said: Said[] = [];
  #wake = () => {};
  /** A real worker's: decodes and checks what its leases name. */
  readonly #store: ParameterStore;

  constructor(name: WorkerId, account: string, stage: Stage, store: ParameterStore) {
    this.name = name;
    this.account = account;
    this.#stage = stage;
    this.#store = store;
  }

  hear(said: Said): void {
    this.heard.push(said);
    this.#said.push(said);
    this.#wake();
  }

  /** The next of a type that is said to it; what else was said before is passed over. */
  async next<T extends Said["type"]>(type: T): Promise<SaidOf<T>> {
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const said = await this.#take(until, type);
      if (said.type === type) return said as SaidOf<T>;
    }
  }

  async #take(until: number, wanted: string): Promise<Said> {
    for (;;) {
      const said = this.#said.shift();
      if (said) return said;
      const left = until - Date.now();
      if (left <= 0)
        throw new Error(`${this.name} waited ${PATIENCE_MS} ms for ${wanted}; ${this.#stage.engine.status().reason}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Sees that nothing of a type is said for a while. */
  async hearsNo(type: Said["type"]): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    expect(this.#said.filter((said) => said.type === type)).toEqual([]);
  }

  ready(ahead = false): void {
    this.#stage.engine.inbox.ready(this.name, ahead ? { ahead } : {});
  }

  /** Asks for a lease, and takes what it names. */
  async lease(): Promise<LeaseMessage> {
    this.ready();
    return this.leased();
  }

  /**
   * Waits for a lease that it has asked for, and takes the parameters that it names: they must be of the hashes that it
   * names.
   */
  async leased(): Promise<LeaseMessage> {
    const { lease, parameters } = await this.next("lease");
    const { engine, run } = this.#stage;
    for (const version of parameters) {
      for (const name of framesTo(version, this.#store.holds[version.set])) {
        const frame = engine.blob(name);
        if (!frame) throw new Error(`lease ${lease.lease} names the frame ${name}, which is not there`);
        expect(await this.#store.receive(run.directory.runTag, frame)).toBeUndefined();
      }
    }
    await this.#store.blob(lease.network, lease.parametersHash);
    return lease;
  }

  /** Hands in a contribution; resolves when it is checked. */
  contribute(contribution: ScriptedContribution): Promise<void> {
    return this.#stage.engine.inbox.contribute(this.name, frameOf(contribution));
  }

  honest(lease: LeaseMessage): ScriptedContribution {
    const { state, directory } = this.#stage.run;
    return honestContribution({ ...state, runTag: directory.runTag }, lease);
  }

  /** Answers a lease honestly, and sees it accepted. */
  async answer(lease: LeaseMessage): Promise<void> {
    await this.contribute(this.honest(lease));
    expect((await this.next("accepted")).lease).toBe(lease.lease);
  }

  /**
   * Works until the run is over.
   * @param alter what it hands in instead of what is right
   * @param enough asked at each lease, which is left unanswered where it is
   */
  async work(
    over: Promise<unknown>,
    alter = (honest: ScriptedContribution) => honest,
    enough = () => false,
  ): Promise<void> {
    let done = false;
    const end = over.then(
      () => {
        done = true;
      },
      () => {
        done = true;
      },
    );
    while (!done) {
      this.ready();
      const lease = await Promise.race([this.leased(), end]);
      if (done || !lease || enough()) return;
      await this.contribute(alter(this.honest(lease)));
      await Promise.race([this.#settled(lease.lease), end]);
    }
  }

  async #settled(lease: number): Promise<void> {
    for (;;) {
      const said = await this.#take(Date.now() + PATIENCE_MS, "a verdict");
      if ("lease" in said && said.type !== "lease" && said.lease === lease) return;
    }
  }

  leave(): void {
    this.#stage.engine.inbox.leave(this.name, { code: "LEFT", message: "the volunteer left" });
  }

  loseConnection(): void {
    this.#stage.engine.inbox.suspend(this.name, { code: "GONE", message: "the socket closed" });
  }

  comeBack(): void {
    this.#stage.engine.inbox.resume(this.name);
  }
}

export interface StageOptions {
  readonly config?: Record<string, unknown>;
  readonly maxSteps?: number;
  /** The folder of a run that was stopped. */
  readonly resume?: string;
  readonly firstLease?: number;
  /** For each lease whether it is audited; never unless given. */
  readonly draw?: () => number;
}

/** An engine on a run of its own. */
export class Stage {
  readonly run: OpenRun;
  readonly engine: Engine;
  readonly events: readonly RunEvent[];
  readonly #workers: Map<WorkerId, StagedWorker>;
  readonly #handed: { readonly given: unknown; readonly copy: unknown }[];
  #done: Promise<RunSummary> | undefined;
  #closed: Promise<void> | undefined;

  /** Opens a run and makes its engine ready; the test's end stops it. */
  static async open(make: MakeEngine, options: StageOptions = {}): Promise<Stage> {
    const { config, maxSteps, resume, firstLease, draw = () => 1 } = options;
    const run = resume === undefined ? await openTestRun(config) : await reopenRun(resume);
    const workers = new Map<WorkerId, StagedWorker>();
    const handed: { given: unknown; copy: unknown }[] = [];
    const say = (worker: WorkerId, said: Said) => {
      // What is no data cannot be cloned, and what is changed after it was handed over is another than its copy.
      handed.push({ given: said, copy: structuredClone(said) });
      workers.get(worker)?.hear(said);
    };
    const outbox: Outbox = {
      lease: (worker, lease, parameters) => say(worker, { type: "lease", lease, parameters }),
      accepted: (worker, lease, samples) => say(worker, { type: "accepted", lease, samples }),
      rejected: (worker, lease, refusal) => say(worker, { type: "rejected", lease, refusal }),
      cancelled: (worker, lease, reason) => say(worker, { type: "cancelled", lease, reason }),
      rests: (worker, ms) => say(worker, { type: "rests", ms }),
      audited: (worker) => say(worker, { type: "audited" }),
      dismissed: (worker) => say(worker, { type: "dismissed" }),
    };
    const events: RunEvent[] = [];
    const given = engineRun(run, {
      outbox,
      traffic: new Traffic(),
      clock: systemClock,
      draw,
      onEvent: (event) => events.push(event),
      ...(maxSteps === undefined ? {} : { maxSteps }),
      ...(firstLease === undefined ? {} : { firstLease }),
    });
    const engine = await make(given).catch(async (error) => {
      await run.log.close();
      await run.claim.release();
      throw error;
    });
    const stage = new Stage(run, engine, events, workers, handed);
    onTestFinished(() => stage.close());
    return stage;
  }

  private constructor(
    run: OpenRun,
    engine: Engine,
    events: readonly RunEvent[],
    workers: Map<WorkerId, StagedWorker>,
    handed: { readonly given: unknown; readonly copy: unknown }[],
  ) {
    this.run = run;
    this.engine = engine;
    this.events = events;
    this.#workers = workers;
    this.#handed = handed;
  }

  /** Begins to drive the run. */
  start(): this {
    this.#done = this.engine.run();
    this.#done.catch(() => undefined);
    return this;
  }

  get done(): Promise<RunSummary> {
    if (!this.#done) throw new RangeError("the engine was not started");
    return this.#done;
  }

  /** A worker that has joined, by default for an account of its own. */
  join(name: string, joining: Partial<Joining> = {}): StagedWorker {
    const { config, networks } = this.run.state;
    const store = new ParameterStore(
      new Map(parameterSets(networks).map((set) => [set, wireForm(networks, config, set)])),
      digest,
    );
    const account = createHash("sha256").update(name).digest("hex");
    const worker = new StagedWorker(workerId(name), account, this, store);
    this.#workers.set(worker.name, worker);
    const adapter = { vendor: "test", architecture: "", description: "staged", software: true };
    // The operator's own: a stranger would first be lent what nobody waits for.
    const facts = { account, name, runtime: "node", adapter, address: name, own: true } as const;
    this.engine.inbox.join(worker.name, { ...facts, ...joining });
    return worker;
  }

  /** One more works until something comes to pass, and not a step longer, or until the run is over; then it leaves. */
  async workUntil(name: string, reached: () => boolean): Promise<void> {
    const worker = this.join(name);
    const over = expect.poll(reached, { interval: 5 }).toBe(true);
    await worker.work(Promise.race([over, this.done.catch(() => undefined)]), undefined, reached);
    worker.leave();
    await over;
  }

  /** All that was handed to workers is still what it was. */
  expectUnchanged(): void {
    for (const { given, copy } of this.#handed) expect(given).toEqual(copy);
  }

  /** Ends the run where it is, and lets go of its files, for another engine to go on with it. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    // Who holds a lease would be waited for.
    for (const worker of this.#workers.values()) worker.leave();
    this.engine.stop();
    await this.#done?.catch(() => undefined);
    await this.engine.close();
    await this.run.log.close();
    await this.run.claim.release();
  }
}

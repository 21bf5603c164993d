// One coordinator of a run that several drive: it stands by as a replica, or leads with the rounds of a run in one
// process, and ends where another leads. Whoever starts it starts it again then.

import { randomInt } from "node:crypto";
import type { Refusal } from "../../../shared/base/errors.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { dashboardRights } from "../../base/token.ts";
import type { CheckpointContents } from "../../checkpoint/checkpoint-contents.ts";
import type { CommitRecord } from "../../checkpoint/commit-log.ts";
import { isOver, LOOK_EVERY_MS, type StandbyState, watchLease } from "../../cluster/fence.ts";
import { readHead, readLease } from "../../cluster/keys.ts";
import { isUnreachable } from "../../cluster/lease-store.ts";
import { decode, encode, type Payload } from "../../cluster/messages.ts";
import { hearCommands, passOn } from "../../cluster/pass-on.ts";
import { type Subjects, subjectsOf } from "../../cluster/subjects.ts";
import { LEADER_SILENT_MS } from "../../gateway/gateway.ts";
import { GatewayDesk } from "../../gateway/gateway-desk.ts";
import { pausedStatus } from "../../gateway/gateway-words.ts";
import { Ledger } from "../../round/ledger.ts";
import { learningRatesAt } from "../../state/learning-rate.ts";
import { scoreOf } from "../../state/scores.ts";
import { progressOf, type RunProgress } from "../../state/training-state.ts";
import type { RoundPlan } from "../../training/round-plan.ts";
import { startTraining } from "../../training/start-training.ts";
import type { StepResult, Training } from "../../training/training.ts";
import type { Standing } from "../../trust/standing.ts";
import type { TrustStore } from "../../trust/trust-file.ts";
import type { Engine, EngineRun, RunSummary } from "../engine.ts";
import type { Inbox } from "../inbox.ts";
import { LocalEngine } from "../local/local-engine.ts";
import type { Collected, PlacedLease } from "../local/round-driver.ts";
import type { RunKeeping } from "../run-keeping.ts";
import type { OperatorCommand, RunWatch } from "../run-watch.ts";
import { type StepRecord, stepEvent } from "../step-event.ts";
import { encodeAside } from "./aside.ts";
import { begin, type ClusterPorts, endedRun, standingOf } from "./begin.ts";
import { ClusterLog, type Committed } from "./cluster-log.ts";
import { type CheckpointPlace, type CommittedRound, Followers } from "./followers.ts";
import { Lead } from "./lead.ts";
import { diverged, Replica } from "./replica.ts";
import { requireSums } from "./requires.ts";
import { heardWatch, toldWatch } from "./told-watch.ts";

/** What a standby says of itself, and a leader of the run. */
const SAY_EVERY_MS = 500;
/** Numbers of leases begin below this, so that 2^31 of them fit a frame's header. */
const FIRST_LEASES = 2 ** 31;
/** A leader that ends waits so long for those who follow. */
const PARTING_MS = 5000;
/** Characters of what a status waits for. */
const MOST_REASON = 1000;
/** A standby that lacks records for so long, though somebody leads, loads the run again. */
const BEHIND_MS = 6000;

export interface NatsEngineOptions {
  readonly ports: ClusterPorts;
  /** Of this coordinator. */
  readonly id: string;
  /** A run that nobody has begun is not begun here. */
  readonly neverFirst?: boolean;
  /** Sees each lease of a leader as it is granted, and the sum of a round before it is applied. */
  readonly onGrant?: (lease: PlacedLease, plan: RoundPlan) => void;
  readonly onSealed?: (plan: RoundPlan, collected: Collected) => void;
}

type Ready = EngineRun & { readonly keeping: RunKeeping };

interface Parts {
  readonly progress: RunProgress;
  readonly training: Training;
  readonly standings: KeptStandings;
  /** Records that are due before a new leader commits anything else. */
  readonly due: readonly CommitRecord[];
  readonly lead: Lead | undefined;
  readonly checkpoint: string | undefined;
}

/** The trust that is kept, and what it was last. */
class KeptStandings implements TrustStore {
  readonly #store: TrustStore;
  newest: ReadonlyMap<string, Standing> = new Map();

  constructor(store: TrustStore) {
    this.#store = store;
  }

  async read() {
    const stored = await this.#store.read();
    this.newest = new Map(stored.standings);
    return stored;
  }

  async write(standings: ReadonlyMap<string, Standing>): Promise<void> {
    this.newest = new Map(standings);
    await this.#store.write(standings);
  }
}

export class NatsEngine implements Engine {
  readonly inbox: Inbox;
  readonly #options: NatsEngineOptions;
  readonly #run: Ready;
  readonly #parts: Parts;
  readonly #subjects: Subjects;
  readonly #local: LocalEngine;
  readonly #replica: Replica;
  /** Speaks to gateways, which are workers among others. */
  readonly #desk: GatewayDesk;
  readonly #stop: (() => void)[] = [];
  #lead: Lead | undefined;
  #log: ClusterLog | undefined;
  #followers: Followers | undefined;
  /** Of the round that was sealed last: what its terms are, and its sum where somebody follows. */
  #sealed: (CommittedRound & { readonly sum: Promise<Uint8Array> | undefined }) | undefined;
  #checkpoint: CheckpointPlace | undefined;
  /** What whoever leads last said, and when. */
  #heard: { readonly status: Payload<"status">; readonly at: number } | undefined;
  /** Settles once the checkpoint that is being written is. */
  #writing: Promise<void> = Promise.resolve();
  /** A round is sealed whose record is not committed yet. */
  #committing = false;
  #stopping = false;
  /** Whoever runs it had the run stopped, for all who drive it. */
  #halted = false;
  #wake = () => {};

  /** Begins with the run as it stands with whoever leads, or leads. @throws ENGINE_UNREACHABLE, THREAD_FAILED */
  static async open(options: NatsEngineOptions, run: EngineRun): Promise<NatsEngine> {
    const { keeping } = run;
    if (!keeping) throw new RangeError("an engine of several coordinators needs the run's folder");
    const { ports, id, neverFirst = false } = options;
    const { clock, onEvent, state } = run;
    requireSums(state.config);
    const subjects = subjectsOf(run.run);
    const onNotice = (message: string) => onEvent({ type: "notice", message });
    const beginning = { ports, subjects, id, clock, keeping, step: run.state.step, neverFirst, onNotice };
    const begun = await begin(beginning);
    const ready: Ready =
      begun.kind === "loads" ? { ...run, keeping, ...(await keeping.become(begun.kept)) } : { ...run, keeping };
    const loaded = ready as Ready & { readonly checkpoint?: string };
    const progress = progressOf(ready.state);
    const standings = new KeptStandings(run.trust);
    const training = await (run.startTraining ?? startTraining)(ready.state, run.runTag);
    const stored = await standings.read();
    const parts: Parts = {
      progress,
      training,
      standings,
      due: begun.kind === "loads" ? [] : dueOf(keeping, begun.ahead, run.state.step),
      lead: begun.kind === "leads" ? begun.lead : undefined,
      checkpoint: begun.kind === "loads" ? loaded.checkpoint : run.resumedFrom,
    };
    return new NatsEngine(options, ready, parts, subjects, stored);
  }

  private constructor(
    options: NatsEngineOptions,
    run: Ready,
    parts: Parts,
    subjects: Subjects,
    stored: Awaited<ReturnType<TrustStore["read"]>>,
  ) {
    const { progress, training, standings, checkpoint, lead } = parts;
    if (checkpoint !== undefined)
      this.#checkpoint = { folder: checkpoint, length: run.keeping.log.length, step: progress.step };
    const { state: _state, trust: _trust, startTraining: _start, resumedFrom: _resumed, draw, keeping, ...rest } = run;
    this.#options = options;
    this.#run = run;
    this.#parts = parts;
    this.#subjects = subjects;
    this.#lead = lead;
    const { bus, bulk } = options.ports;
    const { clock, onEvent } = run;
    const { dataset, config } = progress;
    const { config: _text, ...tokens } = keeping.about;
    const desk = new GatewayDesk({
      id: options.id,
      run: run.run,
      bus,
      bulk,
      clock,
      draw,
      onEvent,
      facts: { config: JSON.stringify(config), dataset, runTag: run.runTag, ...tokens },
      ...(run.address === undefined ? {} : { address: run.address }),
    });
    this.#desk = desk;
    this.#local = new LocalEngine({
      ...rest,
      firstLease: run.firstLease ?? randomInt(1, FIRST_LEASES),
      progress,
      training,
      log: { append: (record) => this.#append(record) },
      writeCheckpoint: async () => {
        if (this.#lead?.ended) await this.#lead.over;
        return this.#writeCheckpoint(await training.checkpoint(run.run));
      },
      trust: { store: standings, stored, draw },
      ...(checkpoint === undefined ? {} : { resumedFrom: checkpoint }),
      outbox: desk.beside(run.outbox),
      gateways: desk,
      ...(options.onGrant === undefined ? {} : { onGrant: options.onGrant }),
      onSealed: (plan, collected) => {
        options.onSealed?.(plan, collected);
        this.#noteSum(plan, collected);
      },
    });
    this.inbox = this.#local.inbox;
    this.#replica = new Replica({
      progress,
      training,
      ledger: run.ledger,
      log: keeping.log,
      bulk,
      trust: standings,
      onApplied: (record, result) => this.#applied(record, result),
    });
    const hear = (subject: string, take: (data: Uint8Array) => void) => {
      this.#stop.push(bus.subscribe(subject, ({ data }) => take(data)));
    };
    hear(subjects.toAll("commit"), (data) => {
      const commit = decode("commit", data);
      if (commit && !this.#lead) this.#replica.hear(commit);
    });
    hear(subjects.toAll("status"), (data) => {
      const status = decode("status", data);
      if (status && !this.#lead && status.epoch >= (this.#heard?.status.epoch ?? 0))
        this.#heard = { status, at: run.clock.now() };
    });
  }

  /** @throws ENGINE_FENCED, REPLICA_DIVERGED: begun again it stands by; and as LocalEngine */
  async run(): Promise<RunSummary> {
    const lead = this.#lead ?? (await this.#standBy());
    // Stopped, it commits nothing and ends with what it has.
    if (!lead) {
      this.#local.stop();
      return this.#local.run();
    }
    await this.#begin(lead);
    const { keeping } = this.#run;
    const running = this.#local.run();
    running.catch(() => undefined);
    try {
      const summary = await Promise.race([running, lead.over]);
      // That it is over is in what is said last.
      if (summary.finished) this.#say();
      // Whoever follows has the last sum from here, or from nowhere.
      await Promise.race([this.#followers?.settled(keeping.log.length, PARTING_MS), lead.over]);
      await this.#options.ports.bus.flush().catch(() => undefined);
      await lead.release(summary.finished ? "over" : this.#halted ? "stopped" : undefined);
      return summary;
    } catch (error) {
      if (lead.ended) {
        // Nobody computes for it any more, and nothing of it is kept.
        this.#desk.close();
        this.#local.abandon();
        await running.catch(() => undefined);
      }
      throw error;
    } finally {
      await lead.release();
    }
  }

  /** Follows until it leads; nothing where it is stopped before. */
  async #standBy(): Promise<Lead | undefined> {
    const { ports, id } = this.#options;
    const { clock, keeping, onEvent } = this.#run;
    const { store } = ports;
    const { log } = keeping;
    const replica = this.#replica;
    let watched: StandbyState = { state: "loading", watched: null };
    let behindSince: number | undefined;
    let said = Number.NEGATIVE_INFINITY;
    onEvent({ type: "follows", id, leader: this.#heard?.status.leader ?? null, step: this.#parts.progress.step });
    while (!this.#stopping) {
      if (replica.failure !== undefined) throw replica.failure;
      const now = clock.now();
      if (now - said >= SAY_EVERY_MS) {
        said = now;
        this.#sayFollows();
      }
      try {
        const lease = await readLease(store);
        const head = await readHead(store);
        if (lease?.value.stopped) {
          onEvent({ type: "notice", message: "whoever runs it had the run stopped: this coordinator ends, too" });
          return undefined;
        }
        const caughtUp = head === undefined || log.length >= head.value.length;
        const look = lease ? { ...lease.value, revision: lease.revision } : null;
        watched = watchLease(watched, { now: clock.now(), lease: look, caughtUp: true });
        if (watched.state === "candidate") {
          // What whoever led offered comes no more.
          replica.hurry();
          await replica.settle();
          if (replica.failure !== undefined) throw replica.failure;
          // The sum of a step is nowhere any more, and nobody is left who could compute it.
          if (replica.lost && lease && head && isOver(lease.value)) throw endedRun(head.value.step);
          const { step } = this.#parts.progress;
          const lead = await Lead.take({ store, clock, id }, lease, await standingOf(keeping, step));
          if (lead instanceof Lead) {
            await replica.settle();
            return lead;
          }
          if (lead.kind === "behind") await replica.missed(lead.head);
        } else if (!caughtUp) {
          behindSince ??= clock.now();
          if (clock.now() - behindSince >= BEHIND_MS)
            throw diverged(`it has ${log.length} of ${head.value.length} records, and nobody brings the others`);
        } else behindSince = undefined;
        if (
          replica.lost &&
          watched.state !== "candidate" &&
          caughtUp &&
          (watched.watched?.silentMs ?? 0) < LOOK_EVERY_MS
        )
          throw diverged("the sum of a step that was committed was nowhere to be had");
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        watched = watchLease(watched, { now: clock.now(), lease: "silent", caughtUp: true });
      }
      await this.#pause(LOOK_EVERY_MS);
    }
    return undefined;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#run.clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** The first that a leader does: what is due is committed, and everybody hears who leads. */
  async #begin(lead: Lead): Promise<void> {
    const { ports, id } = this.#options;
    const { clock, keeping, run, onEvent } = this.#run;
    const { progress, due, checkpoint } = this.#parts;
    this.#lead = lead;
    const followers = new Followers({
      ...ports,
      subjects: this.#subjects,
      id,
      epoch: lead.epoch,
      run,
      clock,
      keeping,
      wantCheckpoint: () => void this.#wantCheckpoint().catch(() => undefined),
    });
    this.#followers = followers;
    if (this.#checkpoint) followers.checkpointed(this.#checkpoint);
    const file = keeping.log;
    this.#log = new ClusterLog({ lead, file, onCommitted: (committed) => this.#told.push(committed) });
    onEvent({ type: "leads", id, epoch: lead.epoch, step: progress.step });
    const lost: CommitRecord[] = this.#replica.lost
      ? [{ type: "resume", fromStep: progress.step, checkpoint: this.#checkpoint?.folder ?? checkpoint ?? "none" }]
      : [];
    for (const record of [...due, ...lost]) await this.#append(record);
    // They only say where it goes on from.
    if (this.#checkpoint && due.length > 0) followers.checkpointed({ ...this.#checkpoint, length: file.length });
    this.#stop.push(clock.every(SAY_EVERY_MS, () => this.#say()));
    const { bus } = ports;
    this.#stop.push(hearCommands({ bus, subjects: this.#subjects, node: id }, (asked) => this.#asked(asked)));
    // A pause is the run's, whoever leads it.
    if ((this.#heard?.status.watched?.paused ?? "no") !== "no") void this.#local.operate({ type: "pause" });
    this.#desk.serve(this.#local, lead.epoch);
  }

  /** What was committed and is not told yet. */
  readonly #told: Committed[] = [];

  async #append(record: CommitRecord): Promise<void> {
    if (!this.#log) throw new RangeError("a coordinator that does not lead commits");
    const sealed = record.type === "step" ? this.#sealed : undefined;
    const sum = await sealed?.sum;
    await this.#log.append(record);
    this.#committing = false;
    const followers = this.#followers;
    for (const committed of this.#told.splice(0)) {
      const { progress, standings } = this.#parts;
      const aside = followers?.any ? encodeAside(progress, standings.newest) : undefined;
      followers?.committed(committed, sealed ?? null, sum, aside);
    }
  }

  /** A sum is about to be applied: those who follow apply it, too. */
  #noteSum(plan: RoundPlan, { ranges }: Collected): void {
    this.#committing = true;
    if (plan.terms.split !== "train") return;
    const { training } = this.#parts;
    const { key } = this.#desk;
    if (key === null) throw new RangeError("a round was sealed that was not opened");
    const facts = { key, ranges, contributions: [], accountPeaks: new Map() };
    const sum = this.#followers?.any ? training.partial(facts) : undefined;
    sum?.catch(() => undefined);
    this.#sealed = { key, terms: plan.terms, sum };
  }

  /** A standby wants what is committed now: between a seal and its commit the numbers are of neither. */
  async #wantCheckpoint(): Promise<void> {
    const { run, keeping } = this.#run;
    const { progress, training } = this.#parts;
    const { length } = keeping.log;
    if (this.#committing || this.#checkpoint?.length === length) return;
    const contents = await training.checkpoint(run);
    if (this.#committing || keeping.log.length !== length || contents.step !== progress.step) return;
    await this.#writeCheckpoint(contents);
  }

  /** One after another, each of what is committed at the call. */
  #writeCheckpoint(contents: CheckpointContents): Promise<string> {
    const { writeCheckpoint, keeping, ledger } = this.#run;
    // A standby's log may be ahead of what is in the numbers.
    const length = this.#lead ? keeping.log.length : this.#replica.applied;
    // They go on while it is written.
    const progress = progressCopy(this.#parts.progress);
    const committed = Ledger.fromJSON(ledger.toJSON());
    const written = this.#writing.then(() => writeCheckpoint(contents, progress, committed));
    this.#writing = written.then(
      (folder) => {
        this.#checkpoint = { folder, length, step: contents.step };
        this.#followers?.checkpointed(this.#checkpoint);
      },
      () => undefined,
    );
    return this.#writing.then(() => written);
  }

  /** A standby has what the leader committed. */
  #applied(record: CommitRecord, result: StepResult | undefined): void {
    this.#sayFollows();
    const { progress, training } = this.#parts;
    if (record.type === "evaluate") {
      const { step: at, network, value, others = {} } = record;
      const score = shownScore(scoreOf(progress.config), value, others);
      this.#run.onEvent({ type: "evaluation", step: at, network, score });
    }
    if (record.type !== "step" || !result) return;
    this.#tellStep(record, result);
    const { step } = progress;
    if (step % progress.config.checkpoint.everySteps !== 0) return;
    const { run, onEvent } = this.#run;
    // In a row with what is applied next: it is of this step, and no other.
    this.#replica.after(async () => {
      const path = await this.#writeCheckpoint(await training.checkpoint(run));
      onEvent({ type: "checkpoint", step, path });
    });
  }

  /** Those who look on here see the whole run, but for what its leader's sockets carry. */
  #tellStep(record: StepRecord, result: StepResult): void {
    const { ledger, traffic, onEvent } = this.#run;
    const { progress } = this.#parts;
    const { config, program, networks } = progress;
    const event = stepEvent(record, result, progress, {
      network: program.passes[record.pass].network,
      samples: ledger.samples,
      workedMs: 0,
      workers: this.#heard?.status.status.workers ?? 0,
      bytes: traffic.take(0),
      rates: learningRatesAt(config, program, networks, record.step - 1),
    });
    onEvent(event);
  }

  #sayFollows(): void {
    const { ports, id } = this.#options;
    const { length } = this.#run.keeping.log;
    const { step } = this.#parts.progress;
    const epoch = this.#heard?.status.epoch ?? 0;
    const { applied } = this.#replica;
    ports.bus.publish(
      this.#subjects.toAll("follows"),
      encode("follows", { epoch, standby: id, length, applied, step }),
    );
  }

  #say(): void {
    const { ports, id } = this.#options;
    const lead = this.#lead;
    if (!lead || lead.ended) return;
    const watched = toldWatch(this.#local.watch());
    const message = { epoch: lead.epoch, life: 0, leader: id, status: this.#local.status(), watched };
    ports.bus.publish(this.#subjects.toAll("status"), encode("status", message));
  }

  status(): RunStatus {
    const own = this.#local.status();
    if (this.#lead) return own;
    const heard = this.#heard;
    if (!heard) return { ...own, reason: "nobody leads yet" };
    // The whole run as whoever leads tells it, and of steps what is here.
    const { leader, status } = heard.status;
    const { step, samples } = own;
    // That whoever leads stops is no stop of this one.
    const state = status.state === "stopping" ? own.state : status.state;
    const whole = { ...status, state, step, samples };
    const silentMs = this.#run.clock.now() - heard.at;
    if (silentMs >= LEADER_SILENT_MS && status.state !== "done") return pausedStatus(whole, silentMs, false);
    return { ...whole, reason: `${leader} leads, this coordinator follows: ${status.reason}`.slice(0, MOST_REASON) };
  }

  watch(): RunWatch {
    const own = this.#local.watch();
    return this.#lead ? own : heardWatch(own, this.#heard?.status.watched);
  }

  async operate(command: OperatorCommand, token?: string): Promise<string | undefined> {
    // Workers are those of this coordinator.
    if (command.type === "drain") return this.#local.operate(command);
    if (this.#lead && !this.#lead.ended) return this.#obey(command);
    const { ports, id } = this.#options;
    const { operatorToken } = this.#run.keeping.about;
    return passOn({ bus: ports.bus, subjects: this.#subjects, node: id }, command, token ?? operatorToken);
  }

  #obey(command: OperatorCommand): Promise<undefined> {
    if (command.type === "stop") this.#halted = true;
    return this.#local.operate(command);
  }

  /** Another node's dashboard was asked for something. */
  #asked({ node, token, command }: Payload<"operate">): Refusal | null {
    const { keeping, onEvent } = this.#run;
    if (dashboardRights(keeping.about, token) !== "act")
      return { code: "TOKEN_INVALID", message: "the token is not the operator's, or of before a resume" };
    onEvent({ type: "notice", message: `asked for on the dashboard of ${node}: ${command.type}` });
    void this.#obey(command);
    return null;
  }

  blob(name: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#local.blob(name);
  }

  stop(): void {
    this.#stopping = true;
    this.#wake();
    this.#local.stop();
  }

  async close(): Promise<void> {
    for (const stop of this.#stop.splice(0)) stop();
    this.#followers?.close();
    this.#desk.close();
    await this.#lead?.release();
    await this.#local.close();
    await this.#options.ports.close();
  }
}

/** A run that was opened anew says by itself where it goes on from, a fresh one need not. */
function dueOf({ due }: RunKeeping, ahead: boolean, step: number): readonly CommitRecord[] {
  return ahead && due.length === 0 ? [{ type: "resume", fromStep: step, checkpoint: "none" }] : due;
}

/** As it is now: the one that is copied goes on. */
function progressCopy(progress: RunProgress): RunProgress {
  const { evaluations, others, evaluatedAt, norms, peaks } = progress;
  const maps = { norms: new Map(norms), peaks: new Map(peaks) };
  return {
    ...progress,
    evaluations: { ...evaluations },
    others: { ...others },
    evaluatedAt: { ...evaluatedAt },
    ...maps,
  };
}

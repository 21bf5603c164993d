// A gateway: the coordinator of its volunteers, and a worker of the leader. Its rounds are the leader's leases, its
// sums go up as partials; it holds no parameters of its own, steps nothing and writes nothing that a run depends on.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { IntervalSet, Range } from "../../shared/base/intervals.ts";
import { type Phase, phaseNamed } from "../../shared/model/phases.ts";
import { type ContributionLayout, phaseLayout } from "../../shared/wire/contribution.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { Bulk } from "../cluster/bulk.ts";
import type { Bus, BusMessage } from "../cluster/bus.ts";
import type { KeyReader } from "../cluster/keys.ts";
import {
  decode,
  encode,
  type FromGateway,
  type Payload,
  type ToAll,
  type ToGateway,
  type WatchedRun,
} from "../cluster/messages.ts";
import { passOn } from "../cluster/pass-on.ts";
import { type Subjects, subjectsOf } from "../cluster/subjects.ts";
import type { SampleChecks } from "../data-checks/data-checks.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { Engine, RunSummary } from "../engine/engine.ts";
import { LocalInbox } from "../engine/local/local-inbox.ts";
import { type Collected, type PlacedLease, RoundDriver } from "../engine/local/round-driver.ts";
import type { Outbox } from "../engine/outbox.ts";
import type { OnRunEvent } from "../engine/run-event.ts";
import type { OperatorCommand, RunWatch, WorkerWatch } from "../engine/run-watch.ts";
import { contributionBytes, type RoundPlan } from "../training/round-plan.ts";
import type { Training } from "../training/training.ts";
import { FrameCache } from "./frame-cache.ts";
import { GatewayAway } from "./gateway-away.ts";
import type { GatewayRun } from "./gateway-run.ts";
import {
  decideGateway,
  GATEWAY_ROOM,
  type GatewayEffect,
  type GatewayEvent,
  type GatewayState,
  newGateway,
  outside,
} from "./gateway-state.ts";
import { GatewayTrust } from "./gateway-trust.ts";
import { pausedStatus, unheardStatus } from "./gateway-words.ts";
import { knownEnd, LOOK_FOR_END_MS } from "./run-end.ts";
import { decodeFacts, FACTS_NAME } from "./run-facts.ts";

/** A gateway says what it holds so often: whatever was lost on the way is said again. */
export const BEAT_MS = 300;
/** A leader that has not been heard for so long is waited for, which volunteers are told. */
export const LEADER_SILENT_MS = 1500;
/** The leader answers so soon, or is asked again. */
const ASK_MS = 1000;
/** Parameters that could not be fetched are asked for again after so long. */
const FETCH_AGAIN_MS = 500;
/** A gateway that stops waits so long for its sums to be committed. */
export const PARTING_MS = 10_000;

export interface GatewayOptions {
  readonly id: string;
  readonly run: GatewayRun;
  readonly bus: Bus;
  readonly bulk: Bulk;
  /** Where it is looked whether the run is over while nobody leads; whoever has none waits to be told. */
  readonly keys?: KeyReader;
  readonly clock: Clock;
  /** In [0, 1): lives, and which leases are audited. */
  readonly draw: () => number;
  /** Of this run, with no parameters: it sums. */
  readonly training: Training;
  readonly outbox: Outbox;
  readonly onEvent: OnRunEvent;
  /** Number of the first lease; 1 unless given. */
  readonly firstLease?: number;
  /** Decodes the samples of some leases too; without it what volunteers say of theirs is believed. */
  readonly sampleChecks?: SampleChecks;
  /** Sees each lease as it is granted. */
  readonly onGrant?: (lease: PlacedLease, plan: RoundPlan) => void;
  /** See INSTALMENT_MS. */
  readonly instalmentMs?: number;
  /** Its first life, where the leader has heard of it already; drawn unless given. */
  readonly life?: number;
  /** A leader's door is here: told again when another leads. */
  readonly onAddress?: (address: string) => void;
  /** What another leader says of the run. */
  readonly onFacts?: (facts: ReturnType<typeof decodeFacts>) => void;
}

/** A round that the leader has announced, with all that volunteers need of it. */
interface OpenTerms {
  readonly open: Payload<"open">;
  readonly phase: Phase;
  readonly layout: ContributionLayout;
}

type Versions = RoundPlan["parameters"];

export class Gateway implements Engine {
  readonly inbox: LocalInbox;
  readonly #options: GatewayOptions;
  readonly #subjects: Subjects;
  readonly #rounds: RoundDriver;
  readonly #trust: GatewayTrust;
  readonly #away: GatewayAway;
  readonly #frames: FrameCache;
  readonly #layouts = new Map<string, ContributionLayout>();
  readonly #stops: (() => void)[] = [];
  #state: GatewayState;
  #terms: OpenTerms | undefined;
  /** Key of the round whose frames are here, and what volunteers are told of them. */
  #ready: { readonly key: string; readonly versions: Versions } | undefined;
  /** A sum is being collected, and which: what comes of one before is nobody's. */
  #collecting = false;
  #sum = 0;
  /** The leases as they were last looked through, and what was collected then. */
  #looked: { readonly collected?: IntervalSet; readonly leases?: GatewayState["leases"] } = {};
  /** Rounds of this gateway's own count; volunteers know no other. */
  #round = 0;
  #beats = 0;
  #status: RunStatus;
  /** Where the run stands beside its status, as its leader tells it. */
  #watched: WatchedRun | undefined;
  /** Epoch of the leader of whom those who look on were told. */
  #told: number | undefined;
  /** Hash of what is known of the run beside its rounds. */
  #facts: string | undefined;
  #stopping = false;
  #over: ((summary: RunSummary) => void) | undefined;
  #ended = false;

  constructor(options: GatewayOptions) {
    this.#options = options;
    const { run, bulk, clock, draw, training, outbox, onEvent, firstLease, onGrant, sampleChecks } = options;
    const { config } = run;
    this.#subjects = subjectsOf(run.run);
    this.#state = newGateway(options.life ?? 1 + Math.floor(draw() * 0xffff_fffe));
    this.#frames = new FrameCache({ bulk, ...run });
    this.#status = unheardStatus(run);
    this.#trust = new GatewayTrust({
      config: config.trust,
      clock,
      draw,
      onEvent,
      outbox,
      rest: (account, ms) => this.inbox.rest(account, ms),
      spread: (account, gateways) => this.#rounds.spread(account, gateways),
      positionsOf: (range) => this.#rounds.positionsOf(range),
      ask: (kind, payload) => this.#request(kind, payload),
    });
    this.#away = new GatewayAway({
      bulk,
      clock,
      draw,
      rounds: () => this.#rounds,
      distrusted: () => this.#trust.rounds.distrusted,
      ask: (payload) => this.#request("audit", payload),
      tell: (kind, payload) => this.#tell(kind, payload),
      begin: () => this.#begin(),
    });
    this.#rounds = new RoundDriver({
      outbox,
      training,
      clock,
      microbatch: config.microbatch,
      lease: config.lease,
      growing: true,
      shareLimit: config.trust.accountWeight,
      trust: this.#trust.rounds,
      ...(firstLease === undefined ? {} : { firstLease }),
      ...(onGrant === undefined ? {} : { onGrant }),
      ...(sampleChecks === undefined ? {} : { sampleChecks }),
      onRequeue: ({ lease: { worker }, ranges }, cause) => onEvent({ type: "requeued", worker, ranges, cause }),
      onBackup: ({ lease: { worker }, ranges }, of) => onEvent({ type: "backed-up", worker, ranges, of }),
      onChange: () => this.#progressed(),
      onAway: (copy) => this.#away.send(copy),
      onOrdered: (answer) => this.#away.answered(answer),
      onDeclined: (order) => this.#away.declined(order),
    });
    this.inbox = new LocalInbox({ rounds: this.#rounds, trust: this.#trust.run, outbox, onEvent });
  }

  async run(): Promise<RunSummary> {
    const { clock, training } = this.#options;
    const summary = new Promise<RunSummary>((resolve, reject) => {
      this.#over = resolve;
      training.failure.then(reject);
    });
    this.#listen();
    this.#beat();
    this.#stops.push(clock.every(BEAT_MS, () => this.#beat()));
    this.#stops.push(clock.every(LOOK_FOR_END_MS, () => void this.#lookForEnd()));
    try {
      return await summary;
    } finally {
      this.#end();
    }
  }

  /** It says nothing more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Ends at once, without a word, as a process that is killed. */
  kill(): void {
    this.#end();
  }

  /** What is begun is finished, and its sum waited for until it is committed; nothing more is leased. */
  stop(): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#beat();
    this.#options.clock.after(PARTING_MS, () => this.#finish(false));
  }

  async close(): Promise<void> {
    this.#end();
    await this.#options.training.close();
  }

  blob(name: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#frames.get(name);
  }

  status(): RunStatus {
    const { heardAt } = this.#state;
    const silentMs = heardAt === null ? Number.POSITIVE_INFINITY : this.#options.clock.now() - heardAt;
    if (silentMs < LEADER_SILENT_MS || this.#status.state === "done") return this.#status;
    return pausedStatus(this.#status, silentMs, this.#rounds.working);
  }

  watch(): RunWatch {
    const { workers, collected, out } = this.#rounds.watch();
    const samples = this.#terms?.open.terms.split === "train" ? this.#passSamples() : 0;
    return {
      paused: "no",
      checkpointStep: null,
      checkpointWanted: false,
      pass: { title: this.#status.phase, samples, committed: [], collected, leased: out },
      // Of the whole run, as its leader tells it.
      ...this.#watched,
      workers: workers.flatMap((member): readonly WorkerWatch[] => {
        const joined = this.inbox.member(member.worker);
        if (!joined) return [];
        const { account, name, runtime, adapter, own = false } = joined;
        const draining = this.inbox.isDraining(member.worker);
        return [{ ...member, account, name, runtime, adapter, own, draining, audits: this.#trust.auditsOf(account) }];
      }),
    };
  }

  async operate(command: OperatorCommand, token = "none"): Promise<string | undefined> {
    const { bus, id } = this.#options;
    if (command.type !== "drain") return passOn({ bus, subjects: this.#subjects, node: id }, command, token);
    this.inbox.drain(command.worker);
    return undefined;
  }

  #passSamples(): number {
    const { pass } = this.#terms?.open.terms ?? { pass: 0 };
    return this.#options.run.program.passes[pass]?.samples ?? 0;
  }

  get #scope(): { readonly epoch: number; readonly life: number } {
    return { epoch: this.#state.epoch, life: this.#state.life };
  }

  #listen(): void {
    const { bus, id } = this.#options;
    const all = <K extends ToAll>(kind: K, take: (payload: Payload<K>) => void) => {
      this.#stops.push(bus.subscribe(this.#subjects.toAll(kind), heard(kind, take)));
    };
    const mine = <K extends ToGateway>(kind: K, take: (payload: Payload<K>) => void) => {
      this.#stops.push(bus.subscribe(this.#subjects.toGateway(kind, id), heard(kind, take)));
    };
    all("open", (open) => this.#opened(open));
    all("commit", ({ epoch, key }) => {
      this.#take({ type: "commit", epoch, key });
    });
    all("stable", ({ epoch, step }) => this.#take({ type: "stable", epoch, step }));
    all("status", (status) => this.#heardStatus(status));
    all("trust", ({ epoch, standings }) => {
      if (epoch >= this.#state.epoch) this.#trust.hear(standings);
    });
    mine("lease", ({ adopted = false, ...lease }) => this.#take({ type: "lease", ...lease, adopted }));
    mine("trim", ({ keep, ...trim }) => {
      const notBegun = afterFirst(this.#notBegun(), keep, this.#options.run.config.microbatch);
      this.#take({ type: "trim", ...trim, notBegun });
    });
    mine("need", (need) => this.#take({ type: "need", ...need }));
    mine("drop", (drop) => this.#take({ type: "drop", ...drop }));
    const current = ({ epoch, life }: { readonly epoch: number; readonly life: number }) =>
      epoch >= this.#state.epoch && life === this.#state.life && !this.#ended;
    mine("away", (order) => {
      if (current(order)) this.#away.order(order);
    });
    mine("answer", (answer) => {
      if (current(answer)) this.#away.heard(answer);
    });
    mine("home", (home) => {
      if (current(home)) this.#away.home(home.audit);
    });
  }

  #heardStatus({ epoch, leader, status, watched }: Payload<"status">): void {
    this.#take({ type: "heard", epoch });
    if (epoch < this.#state.epoch) return;
    if (this.#told !== epoch) this.#options.onEvent({ type: "leads", id: leader, epoch, step: status.step });
    this.#told = epoch;
    this.#status = status;
    this.#watched = watched;
    if (status.state === "done") this.#finish(true);
  }

  /** Whoever led may have ended with the run, and its last word been lost. */
  async #lookForEnd(): Promise<void> {
    const { keys, clock } = this.#options;
    const { heardAt } = this.#state;
    if (!keys || (heardAt !== null && clock.now() - heardAt < LOOK_FOR_END_MS)) return;
    const step = await knownEnd(keys);
    if (step === undefined || this.#ended) return;
    this.#status = { ...this.#status, state: "done", step, reason: `the run came to its end after step ${step}` };
    this.#finish(true);
  }

  #opened(open: Payload<"open">): void {
    const { epoch, key, round, step, terms } = open;
    if (epoch < this.#state.epoch || this.#ended) return;
    const { run } = this.#options;
    const phase = phaseNamed(run.program, terms.phase);
    const layout = this.#layouts.get(terms.phase) ?? phaseLayout(run.networks, phase, run.config.sync.kind);
    this.#layouts.set(terms.phase, layout);
    const known = this.#terms?.open.key === key;
    if (open.address !== null) this.#options.onAddress?.(open.address);
    this.#learn(open);
    this.#trust.opened(open);
    this.#take({ type: "open", epoch, key, number: round, step });
    this.#terms = { open, phase, layout };
    this.#away.opened({
      key,
      contributionBytes: contributionBytes({ layout, terms: open.terms as RoundPlan["terms"] }),
    });
    if (known && this.#ready?.key === key) return;
    this.#ready = undefined;
    this.#fetch(key);
  }

  /** Another leads, or one that began anew: its tokens, by which it gives shards and curves, may be others. */
  #learn({ leader, frames, epoch }: Payload<"open">): void {
    const { bulk, clock, onFacts } = this.#options;
    const facts = frames.find(({ name }) => name === FACTS_NAME);
    if (!facts || !onFacts || facts.sha256 === this.#facts || this.#ended) return;
    this.#facts = facts.sha256;
    bulk
      .fetch({ holder: leader, ...facts })
      .then((bytes) => onFacts(decodeFacts(bytes)))
      .catch((error) => {
        if (!(error instanceof BitswarmError)) throw error;
        this.#facts = undefined;
        clock.after(FETCH_AGAIN_MS, () => {
          const open = this.#terms?.open;
          if (open?.epoch === epoch) this.#learn(open);
        });
      });
  }

  /** Fetches what the round's volunteers need, until it is here or another round is announced. */
  #fetch(key: string): void {
    const open = this.#terms?.open;
    if (open?.key !== key || this.#ended) return;
    this.#frames.hold(open.leader, open.frames, open.versions as Versions).then(
      (versions) => {
        if (this.#terms?.open.key !== key || this.#ended) return;
        this.#ready = { key, versions };
        this.#begin();
      },
      () => {
        this.#options.clock.after(FETCH_AGAIN_MS, () => {
          if (this.#ready?.key !== key) this.#fetch(key);
        });
      },
    );
  }

  #beat(): void {
    if (this.#ended) return;
    const { instalmentMs } = this.#options;
    this.#take({
      type: "tick",
      workers: this.#workers,
      notBegun: this.#notBegun(),
      collected: this.#collecting ? this.#rounds.progress.collected : 0,
      ...(instalmentMs === undefined ? {} : { instalmentMs }),
    });
    if (this.#stopping) this.#part();
  }

  /** Gives back what is not begun, and ends once nothing is left that the leader may still want. */
  #part(): void {
    const { epoch, life, round, leases, kept } = this.#state;
    this.#take({ type: "trim", epoch, life, round: round?.number ?? 0, notBegun: this.#notBegun() });
    const wanted = kept.some(({ key }) => key === round?.key);
    if (leases.length === 0 && !wanted) this.#finish(false);
  }

  /** Who may compute: whoever rests keeps nobody waiting. */
  get #workers(): number {
    return Math.max(0, this.#rounds.workers - this.#trust.resting);
  }

  #notBegun(): readonly Range[] {
    const { leases, shipping } = this.#state;
    // What waits for the next sum, or for its parameters, is begun by nobody.
    if (shipping) return leases.flatMap((held) => outside(held, shipping));
    return this.#collecting ? this.#rounds.notBegun(leases) : leases;
  }

  #progressed(): void {
    const { collected } = this.#rounds;
    // Most of what happens in the rounds collects nothing, and leases need not be looked through.
    const same = collected === this.#looked.collected && this.#state.leases === this.#looked.leases;
    if (!this.#collecting || same) return;
    this.#take({ type: "collected", collected });
    this.#looked = { collected, leases: this.#state.leases };
  }

  #take(event: GatewayEvent): void {
    if (this.#ended) return;
    const { state, effects } = decideGateway(this.#options.clock.now(), this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: GatewayEffect): void {
    switch (effect.type) {
      case "extend":
        if (this.#collecting) this.#rounds.extend(effect.ranges);
        else this.#begin();
        break;
      case "narrow":
        if (this.#collecting) this.#rounds.narrow(effect.ranges);
        break;
      case "close":
        this.#rounds.close();
        break;
      case "ship":
        this.#rounds.narrow(effect.notBegun);
        this.#rounds.close();
        break;
      case "abandon":
        if (!this.#collecting) break;
        this.#sum++;
        this.#collecting = false;
        this.#away.gaveUp();
        this.#rounds.abandon();
        break;
      case "forget":
        for (const name of effect.names) this.#options.bulk.withdraw(name);
        break;
      case "say-covered":
        this.#tell("covered", { lease: effect.lease });
        break;
      case "say-returned": {
        const { lease, from, to, notFinite } = effect;
        this.#tell("returned", { lease, from, to, ...(notFinite ? { notFinite } : {}) });
        break;
      }
      case "say-state":
        this.#tell(this.#state.phase === "joining" ? "join" : "beat", this.#beatState(), this.#announced);
        break;
      default:
        effect satisfies never;
    }
  }

  #beatState(): Omit<Payload<"beat">, "epoch" | "life"> {
    const { round, leases, kept } = this.#state;
    const workers = this.#stopping ? 0 : this.#workers;
    return {
      number: ++this.#beats,
      key: round?.key ?? null,
      speed: this.#rounds.speed ?? 0,
      room: workers > 0 ? GATEWAY_ROOM : 0,
      workers,
      accounts: this.#trust.accounts,
      ...this.#load(),
      leases: leases.map(({ lease, from, to, covered }) => ({ lease: lease ?? 0, from, to, covered })),
      kept: kept.map((sum) => ({ ...sum, ranges: [...sum.ranges] })),
    };
  }

  /** Samples that nobody has answered, and those of them that nobody has begun. */
  #load(): { readonly open: number; readonly free: number } {
    const { leases } = this.#state;
    if (!this.#collecting) return { open: sizeOf(leases), free: sizeOf(leases) };
    const { collected, wanted } = this.#rounds.progress;
    const free = sizeOf(this.#notBegun());
    // While an instalment is on its way the rounds know of nothing else.
    return { open: Math.max(0, wanted - collected) + (this.#state.shipping ? free : 0), free };
  }

  /** The epoch whose round it knows: of a leader that it has heard without its round it asks for that. */
  get #announced(): number {
    const { round, epoch } = this.#state;
    return round?.number === 0 ? epoch - 1 : epoch;
  }

  #request<K extends FromGateway>(kind: K, payload: Omit<Payload<K>, "epoch" | "life">): Promise<Uint8Array> {
    const { bus, id } = this.#options;
    const body = encode(kind, { ...payload, ...this.#scope } as Payload<K>);
    return bus.request(this.#subjects.fromGateway(kind, id), body, ASK_MS);
  }

  #tell<K extends FromGateway>(kind: K, payload: Omit<Payload<K>, "epoch" | "life">, epoch = this.#state.epoch): void {
    const { bus, id } = this.#options;
    const body = { ...payload, ...this.#scope, epoch } as Payload<K>;
    bus.publish(this.#subjects.fromGateway(kind, id), encode(kind, body));
  }

  /** Begins to collect a sum, where it holds leases or orders of a round whose parameters are here. */
  #begin(): void {
    const { leases, round } = this.#state;
    const terms = this.#terms;
    if (this.#collecting || this.#ended || !terms || terms.open.key !== round?.key) return;
    if (this.#ready?.key !== terms.open.key || (leases.length === 0 && !this.#away.waits)) return;
    const sum = ++this.#sum;
    this.#collecting = true;
    this.#collect(sum, terms, leases).catch((error) => {
      // The run of a gateway ends with its thread, and not with what becomes of one sum.
      if (!(error instanceof BitswarmError)) throw error;
      this.#failed(sum, error.code === "GRADIENT_NOT_FINITE");
    });
    this.#away.begun();
  }

  async #collect(sum: number, terms: OpenTerms, ranges: readonly Range[]): Promise<void> {
    const collected = await this.#rounds.collect(this.#plan(terms, ranges));
    if (sum !== this.#sum || collected === "dropped") return;
    if ("diverged" in collected) this.#failed(sum, true);
    else await this.#sealed(sum, terms, collected);
  }

  #failed(sum: number, notFinite: boolean): void {
    if (sum !== this.#sum) return;
    this.#collecting = false;
    this.#away.gaveUp();
    this.#take({ type: "failed", notFinite });
  }

  #plan({ open, layout }: OpenTerms, ranges: readonly Range[]): RoundPlan {
    const terms = { ...open.terms, round: ++this.#round };
    return {
      ranges: ranges.map(({ from, to }) => ({ from, to })),
      whole: open.samples,
      mayLeave: false,
      local: terms.innerLearningRate !== undefined,
      terms: terms as RoundPlan["terms"],
      layout,
      parameters: this.#ready?.versions ?? [],
      runTag: this.#options.run.runTag,
    };
  }

  /** Makes a partial of a sealed sum, and keeps it. */
  async #sealed(sum: number, { open }: OpenTerms, { ranges, samples }: Collected) {
    const { training, bulk } = this.#options;
    const { key, step } = open;
    this.#away.ended();
    const bytes = await training.partial({ key, ranges, ...this.#trust.observed() });
    this.#rounds.applied();
    this.#rounds.committed();
    if (sum !== this.#sum || this.#ended) return;
    this.#collecting = false;
    const name = `partial.${key.slice(0, 16)}.${this.#state.life}.${sum}`;
    bulk.offer(name, bytes);
    const kept = { step, key, name, bytes: bytes.length, sha256: contentHash(bytes), samples, ranges };
    this.#take({ type: "sealed", sum: kept });
    this.#begin();
  }

  #finish(finished: boolean): void {
    const { step, steps, epoch, samples, scores } = this.#status;
    this.#over?.({ finished, step, steps, epoch, samples, scores, paramsHash: "", checkpoint: "" });
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#frames.close();
    this.#trust.close();
    this.#away.close();
    this.#rounds.abandon();
  }
}

const sizeOf = (ranges: readonly Range[]) => ranges.reduce((sum, { from, to }) => sum + to - from, 0);

/** What is left of ranges without their first `keep` samples; whole microbatches, of which ranges begin with one. */
function afterFirst(ranges: readonly Range[], keep: number, microbatch: number): readonly Range[] {
  let left = Math.ceil(keep / microbatch) * microbatch;
  return ranges.flatMap(({ from, to }) => {
    const kept = Math.min(left, to - from);
    left -= kept;
    return from + kept < to ? [{ from: from + kept, to }] : [];
  });
}

/** Passes on what parses. */
function heard<K extends ToAll | ToGateway>(kind: K, take: (payload: Payload<K>) => void) {
  return ({ data }: Pick<BusMessage, "data">) => {
    const payload = decode(kind, data);
    if (payload) take(payload);
  };
}

// The leader's side of its gateways: what rounds decide goes out as messages, what gateways say comes in as what
// workers do. Messages may be lost, doubled or late, so each beat of a gateway says all that it holds, and what differs
// from what is known here is repaired: said again, taken for given back or, where it cannot be told, dropped whole.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type LeaseId, leaseId, type WorkerId, workerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { Bulk } from "../cluster/bulk.ts";
import type { Bus, BusMessage } from "../cluster/bus.ts";
import {
  decode,
  encode,
  type FromGateway,
  type KeptPartial,
  type Payload,
  type ToGateway,
} from "../cluster/messages.ts";
import { type Subjects, subjectsOf } from "../cluster/subjects.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { GatewayHooks, LocalEngine, TrustBeyond } from "../engine/local/local-engine.ts";
import type { Outbox } from "../engine/outbox.ts";
import type { OnRunEvent } from "../engine/run-event.ts";
import type { Lease } from "../round/lease.ts";
import { contributionBytes, type RoundPlan } from "../training/round-plan.ts";
import { type GatewayLoad, givingBack } from "./balance.ts";
import { DeskAway, type DrawnFrom, MOST_AWAY_AUDITS } from "./desk-away.ts";
import { DeskFrames } from "./desk-frames.ts";
import { DeskTrust } from "./desk-trust.ts";
import { gatewaysReason } from "./desk-words.ts";
import { GatewayAway } from "./gateway-away.ts";
import { outside } from "./gateway-state.ts";
import { roundKey } from "./round-key.ts";
import type { RunFacts } from "./run-facts.ts";

/** A gateway that was silent for so long is lost, with all that it has covered. */
export const GATEWAY_SILENT_MS = 1500;
/** A leader that has begun listens for so long to what gateways hold, before it leases anything. */
export const GATHER_MS = 700;
/** What a gateway has not taken up is said again after so long. */
const SAY_AGAIN_MS = 600;
const LOOK_EVERY_MS = 100;
/** Between two times that gateways give back work for others: what that comes to is in two beats of each. */
const TRIM_EVERY_MS = 700;
/** Lives of a gateway that were given up and are remembered. */
const REMEMBERED_LIVES = 64;

export interface GatewayDeskOptions {
  /** The leader's. */
  readonly id: string;
  readonly run: string;
  readonly bus: Bus;
  readonly bulk: Bulk;
  readonly clock: Clock;
  /** In [0, 1): who decides what is audited away; Math.random unless given. */
  readonly draw?: () => number;
  readonly onEvent: OnRunEvent;
  /** What a gateway that begins must know of the run; none where nobody begins by it. */
  readonly facts?: RunFacts;
  /** Where this leader's door is, for gateways that fetch shards; nothing where it has none. */
  readonly address?: () => string | undefined;
}

interface KnownLease {
  /** The gateway has said that it holds it. */
  seen: boolean;
  saidAt: number;
  readonly message: Payload<"lease">;
}

interface KnownGateway {
  readonly id: string;
  readonly life: number;
  readonly worker: WorkerId;
  heardAt: number;
  beat: Payload<"beat">;
  /** It takes part in the rounds. */
  joined: boolean;
  readonly leases: Map<LeaseId, KnownLease>;
  /** Name of the sum that is being fetched. */
  pulling: string | undefined;
  /** Round for which its sum was asked. */
  needed: number;
}

interface DeskRound {
  readonly open: Payload<"open">;
  saidAt: number;
}

type Served = Pick<LocalEngine, "gateways" | "blob" | "usual" | "trust">;

const sizeOf = (ranges: readonly Range[]) => ranges.reduce((sum, { from, to }) => sum + to - from, 0);
const isWithin = (part: Range, ranges: readonly Range[]) =>
  ranges.some((range) => range.from <= part.from && part.to <= range.to);

export class GatewayDesk implements GatewayHooks {
  readonly beyond: TrustBeyond = {
    accounts: () => this.accounts(),
    jumped: (unusual) => this.#trust.jumped(unusual),
    onAway: (copy) => this.#home.send(copy),
    onOrdered: (answer) => this.#away.ownAnswered(answer),
    onDeclined: (order) => this.#away.declined(this.#options.id, order),
  };
  readonly #options: GatewayDeskOptions;
  readonly #subjects: Subjects;
  readonly #gateways = new Map<string, KnownGateway>();
  /** Lives that were given up: they are told so as long as they are heard. */
  readonly #dead = new Map<string, number[]>();
  readonly #trust: DeskTrust;
  readonly #frames: DeskFrames;
  readonly #away: DeskAway;
  /** Audits of the leader's own volunteers that gateways decide. */
  readonly #home: GatewayAway;
  readonly #stops: (() => void)[] = [];
  #engine: Served | undefined;
  #round: DeskRound | undefined;
  /** When the first round was opened: what gateways hold of it is gathered first. */
  #gatherUntil: number | undefined;
  #gathered = false;
  /** What gateways have asked meanwhile: rounds wait for it. */
  readonly #asked: (() => void)[] = [];
  /** Whose leases are being adopted, and of which ranges: they are named, and not leased anew. */
  #adopting: { readonly known: KnownGateway; readonly ranges: readonly Range[] } | undefined;
  #lookedAt: number | undefined;
  #trimmedAt = Number.NEGATIVE_INFINITY;
  #undone = 0;
  #closed = false;
  #epoch = 0;

  constructor(options: GatewayDeskOptions) {
    this.#options = options;
    const { id, run, bus, bulk, clock, onEvent, facts, draw = Math.random } = options;
    const subjects = subjectsOf(run);
    this.#subjects = subjects;
    this.#frames = new DeskFrames(bulk, facts);
    const epoch = () => this.#epoch;
    const accounts = () => this.accounts();
    this.#trust = new DeskTrust({ bus, subjects, clock, onEvent, epoch, engine: () => this.#engine, accounts });
    this.#away = new DeskAway({
      id,
      bulk,
      draw,
      accounts,
      gateways: () => this.#drawnFrom(),
      own: () => ((this.#engine?.gateways.accounts ?? 0) > 0 ? this.#engine?.gateways : undefined),
      order: ({ id, life }, order) => this.#say("away", { id }, { epoch: this.#epoch, life, ...order }),
      answer: (asker, answer) => {
        if (asker.id === id) this.#home.heard({ epoch: this.#epoch, life: 0, ...answer });
        else this.#say("answer", asker, { epoch: this.#epoch, life: asker.life, ...answer });
      },
      home: (asker, audit) => {
        if (asker.id === id) this.#home.home(audit);
        else this.#say("home", asker, { epoch: this.#epoch, life: asker.life, audit });
      },
    });
    // The leader's own door is one that a liar can choose, too.
    this.#home = new GatewayAway({
      bulk,
      clock,
      draw,
      rounds: () => this.#rounds,
      distrusted: () => new Set(),
      ask: async (asked) => {
        const by = this.#away.asked({ id, life: 0 }, { epoch: this.#epoch, life: 0, ...asked });
        return encode("drawn", { epoch: this.#epoch, life: 0, by: by ?? null });
      },
      tell: () => undefined,
      begin: () => undefined,
    });
  }

  /** The way from an engine to its own workers, and beside it that to gateways. */
  beside(outbox: Outbox): Outbox {
    const isGateway = (worker: WorkerId) => this.#gateways.has(worker);
    return {
      lease: (worker, message, parameters) =>
        isGateway(worker) ? this.#lease(worker, message) : outbox.lease(worker, message, parameters),
      accepted: (worker, lease, samples) =>
        isGateway(worker) ? this.#over(worker, lease) : outbox.accepted(worker, lease, samples),
      rejected: (worker, lease, refusal) =>
        isGateway(worker) ? this.#refused(worker) : outbox.rejected(worker, lease, refusal),
      cancelled: (worker, lease, reason) =>
        isGateway(worker) ? this.#over(worker, lease) : outbox.cancelled(worker, lease, reason),
      // Gateways tell their workers themselves.
      rests: (worker, ms) => outbox.rests(worker, ms),
      audited: (worker) => outbox.audited(worker),
      dismissed: (worker) => outbox.dismissed(worker),
    };
  }

  /** Names the engine, which leads with this epoch from now on, and begins to listen. */
  serve(engine: Served, epoch: number): void {
    this.#engine = engine;
    this.#epoch = epoch;
    const { bus, clock } = this.#options;
    const hear = <K extends FromGateway>(
      kind: K,
      take: (gateway: string, payload: Payload<K>, reply?: BusMessage["reply"]) => void,
    ) => {
      const stop = bus.subscribe(this.#subjects.fromGateway(kind, "*"), ({ subject, data, reply }) => {
        const payload = decode(kind, data);
        const gateway = subject.split(".").at(-1);
        if (payload && gateway !== undefined && !this.#closed) take(gateway, payload, reply);
      });
      this.#stops.push(stop);
    };
    hear("join", (gateway, beat) => this.#beat(gateway, beat));
    hear("beat", (gateway, beat) => this.#beat(gateway, beat));
    hear("covered", (gateway, { life, epoch, lease }) => {
      const known = this.#known(gateway, life);
      if (known && epoch === this.#epoch) this.#rounds.covered(known.worker, leaseId(lease));
    });
    hear("returned", (gateway, { life, epoch, lease, from, to, notFinite = false }) => {
      const known = this.#known(gateway, life);
      if (!known || epoch !== this.#epoch) return;
      if (notFinite) this.#rounds.giveBack(known.worker, leaseId(lease), "not-finite");
      else this.#trimmed(known, leaseId(lease), { from, to });
    });
    hear("admit", (gateway, admit, reply) => this.#trust.admit(gateway, admit, reply));
    hear("verdict", (gateway, verdict, reply) => this.#trust.verdict(gateway, verdict, reply));
    hear("unusual", (_gateway, unusual, reply) => this.#trust.unusual(unusual, reply));
    hear("audit", (gateway, audit, reply) => {
      const answer = () => {
        const known = this.#known(gateway, audit.life);
        const by = known && this.#away.asked(known, audit);
        if (by !== undefined) reply?.(encode("drawn", { epoch: this.#epoch, life: audit.life, by }));
      };
      if (this.#gathered) answer();
      else if (this.#asked.length < MOST_AWAY_AUDITS) this.#asked.push(answer);
    });
    hear("answered", (gateway, { epoch: _epoch, life, voids, ...answer }) => {
      if (!this.#known(gateway, life)) return;
      this.#trust.voided(answer.account, voids);
      this.#away.answered(gateway, { voids, ...answer });
    });
    hear("declined", (gateway, { life, audit }) => {
      if (this.#known(gateway, life)) this.#away.declined(gateway, audit);
    });
    this.#stops.push(clock.every(LOOK_EVERY_MS, () => this.#look()));
  }

  close(): void {
    this.#closed = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#frames.close();
    this.#away.close();
    this.#home.close();
  }

  /** Key of the round at hand, or of the last. */
  get key(): string | null {
    return this.#round?.open.key ?? null;
  }

  /** Accounts of the whole run. */
  accounts(): number {
    return this.crowd().accounts + (this.#engine?.gateways.accounts ?? 0);
  }

  /** Gateways that take part, which can compute copies. */
  #drawnFrom(): readonly DrawnFrom[] {
    return [...this.#gateways.values()].flatMap(({ id, life, joined, beat }) => {
      return joined ? [{ id, life, accounts: beat.workers > 0 ? beat.accounts : 0 }] : [];
    });
  }

  crowd(): { readonly gateways: number; readonly workers: number; readonly accounts: number } {
    let [gateways, workers, accounts] = [0, 0, 0];
    for (const { beat, joined } of this.#gateways.values()) {
      if (!joined) continue;
      gateways++;
      workers += beat.workers;
      accounts += beat.accounts;
    }
    return { gateways, workers, accounts };
  }

  reason(rounds: string): string {
    if (!this.#gathered && this.#gateways.size > 0) return "a new leader hears what gateways hold";
    const now = this.#options.clock.now();
    const gateways = [...this.#gateways.values()].filter(({ joined }) => joined);
    if (gateways.length === 0) return rounds;
    const owing = gateways.map((known) => {
      const open = this.#rounds.allLeasesOf(known.worker).filter(({ receivedAt }) => receivedAt === null);
      return { id: known.id, samples: sizeOf(open), silentMs: now - known.heardAt };
    });
    return gatewaysReason(rounds, { ...this.crowd(), ...this.#rounds.progress, owing });
  }

  onOpening(plan: RoundPlan): void {
    // Who does not lead has no gateways.
    if (!this.#engine) return;
    const { id } = this.#options;
    const epoch = this.#epoch;
    const { usual } = this.#served;
    const { step, round, phase } = plan.terms;
    const key = contentHash(`${roundKey(plan.terms)} ${this.#undone}`);
    const of = <T>(map: ReadonlyMap<string, T>) => (map.has(phase) ? { [phase]: map.get(phase) } : {});
    const open: Payload<"open"> = {
      epoch,
      life: 0,
      leader: id,
      step,
      round,
      key,
      terms: plan.terms,
      versions: plan.parameters.map((version) => ({ ...version, changes: [...version.changes] })),
      frames: this.#frames.offer(plan, (name) => this.#served.blob(name)),
      usual: { norms: of(usual.norms), peaks: of(usual.peaks) },
      samples: sizeOf(plan.ranges),
      address: this.#options.address?.() ?? null,
      accounts: this.accounts(),
    };
    this.#round = { open, saidAt: Number.NEGATIVE_INFINITY };
    this.#trust.opening(key);
    this.#away.opening(key);
    this.#home.opened({ key, contributionBytes: contributionBytes(plan) });
    for (const known of this.#gateways.values()) {
      known.leases.clear();
      known.needed = 0;
      // What it holds of this very round is adopted before anything is leased to it.
      if (known.joined && this.#holds(known).length > 0) this.#rounds.stated(known.worker, { room: 0 });
    }
    this.#sayOpen();
  }

  onOpened(): void {
    if (!this.#engine) return;
    this.#gatherUntil ??= this.#options.clock.now() + GATHER_MS;
    const holding = [...this.#gateways.values()].filter((known) => known.joined && this.#holds(known).length > 0);
    const taken = holding.filter((known) => this.#adopt(known));
    for (const known of taken) this.#state(known);
  }

  onChange(): void {
    for (const worker of this.#engine?.gateways.sumsDue ?? []) {
      const known = this.#byWorker(worker);
      if (known && known.needed !== this.#round?.open.round) this.#need(known);
    }
  }

  onUndone(): void {
    // Their sums hold what was undone, whatever round they are of.
    this.#undone++;
  }

  #lease(worker: WorkerId, { lease, ranges, round }: LeaseMessage): void {
    const known = this.#byWorker(worker);
    if (!known) return;
    const { clock } = this.#options;
    const epoch = this.#epoch;
    const place = { from: ranges[0].from, to: ranges[ranges.length - 1].to };
    // What nobody holds may be leased to it in the same turn.
    const own = this.#adopting?.known === known && isWithin(place, this.#adopting.ranges);
    const adopted = own ? { adopted: true as const } : {};
    const message = { epoch, life: known.life, round, lease, ...place, ranges: [...ranges], ...adopted };
    known.leases.set(leaseId(lease), { seen: adopted.adopted === true, saidAt: clock.now(), message });
    this.#say("lease", known, message);
  }

  #over(worker: WorkerId, lease: LeaseId): void {
    this.#byWorker(worker)?.leases.delete(lease);
  }

  #refused(worker: WorkerId): void {
    const known = this.#byWorker(worker);
    if (known) this.#drop(known, "its sum does not fit its leases");
  }

  get #served(): Served {
    if (!this.#engine) throw new RangeError("a round came before the engine was named");
    return this.#engine;
  }

  get #rounds(): LocalEngine["gateways"] {
    return this.#served.gateways;
  }

  #known(id: string, life: number): KnownGateway | undefined {
    const known = this.#gateways.get(id);
    return known?.life === life && known.joined ? known : undefined;
  }

  #byWorker(worker: WorkerId): KnownGateway | undefined {
    return this.#gateways.get(worker);
  }

  #sayOpen(): void {
    const round = this.#round;
    const now = this.#options.clock.now();
    if (!round || now - round.saidAt < LOOK_EVERY_MS) return;
    round.saidAt = now;
    this.#options.bus.publish(this.#subjects.toAll("open"), encode("open", round.open));
  }

  #say<K extends ToGateway>(kind: K, { id }: Pick<KnownGateway, "id">, payload: Payload<K>): void {
    this.#options.bus.publish(this.#subjects.toGateway(kind, id), encode(kind, payload));
  }

  #order(known: KnownGateway) {
    return { epoch: this.#epoch, life: known.life, round: this.#round?.open.round ?? 0 };
  }

  #need(known: KnownGateway): void {
    known.needed = this.#round?.open.round ?? 0;
    this.#say("need", known, this.#order(known));
  }

  #beat(id: string, beat: Payload<"beat">): void {
    const { clock, bus } = this.#options;
    const epoch = this.#epoch;
    const now = clock.now();
    if (beat.epoch > epoch) return;
    if (this.#dead.get(id)?.includes(beat.life)) {
      bus.publish(this.#subjects.toGateway("drop", id), encode("drop", { epoch, life: beat.life }));
      return;
    }
    let known = this.#gateways.get(id);
    if (known && known.life !== beat.life) {
      this.#leave(known, "it has begun anew");
      known = undefined;
    }
    if (!known) {
      const fresh = { joined: false, leases: new Map(), pulling: undefined, needed: 0, heardAt: now, beat };
      known = { id, life: beat.life, worker: workerId(id), ...fresh };
      this.#gateways.set(id, known);
    } else if (beat.number <= known.beat.number) return;
    known.heardAt = now;
    known.beat = beat;
    if (!known.joined) {
      if (this.#gathered && this.#admit(known)) this.#state(known);
    } else this.#repair(known);
    if (beat.key !== this.#round?.open.key || beat.epoch < epoch) this.#sayOpen();
  }

  /** A gateway takes part, with what it holds already; false where it was dropped. */
  #admit(known: KnownGateway): boolean {
    known.joined = true;
    const { id, worker } = known;
    this.#rounds.join(worker, { account: `gateway:${id}`, room: 0 });
    this.#options.onEvent({ type: "notice", message: `gateway ${id} takes part, with ${known.beat.workers} workers` });
    return this.#adopt(known);
  }

  #state({ worker, beat, leases }: KnownGateway): void {
    const { key, room, speed, open } = beat;
    // What was said since it spoke comes on top.
    let unseen = 0;
    for (const { seen, message } of leases.values()) if (!seen) unseen += message.to - message.from;
    const before = key !== null && key === this.#round?.open.key ? open + unseen : undefined;
    this.#rounds.stated(worker, { room, speed: speed > 0 ? speed : undefined, open: before });
  }

  /** What a gateway holds of the round at hand. */
  #holds({ beat }: KnownGateway): readonly Range[] {
    const key = this.#round?.open.key;
    if (key === undefined) return [];
    const kept = beat.kept.filter((sum) => sum.key === key).flatMap(({ ranges }) => ranges);
    const held = beat.key === key ? beat.leases : [];
    return [...held.map(({ from, to }) => ({ from, to })), ...kept];
  }

  /** Takes over what a gateway holds of the round: all of it or, where a range is another's, none. False: dropped. */
  #adopt(known: KnownGateway): boolean {
    const ranges = this.#holds(known);
    if (ranges.length === 0) return true;
    const whole = this.#naming(known, ranges, () => this.#rounds.adopt(known.worker, ranges));
    if (!whole) {
      this.#drop(known, "another holds a range of what it has");
      return false;
    }
    const { leases, kept } = known.beat;
    const key = this.#round?.open.key;
    const summed = kept.filter((sum) => sum.key === key).flatMap((sum) => sum.ranges);
    const covered = [...leases.filter((lease) => lease.covered), ...summed];
    for (const lease of this.#rounds.allLeasesOf(known.worker)) {
      if (isWithin(lease, covered)) this.#rounds.covered(known.worker, lease.lease);
    }
    this.#pull(known);
    return true;
  }

  #trimmed(known: KnownGateway, lease: LeaseId, part: Range): void {
    // What is behind the part is the gateway's own on, under a number of its own.
    const out = this.#rounds.leaseOut(lease);
    this.#naming(known, out ? outside(out, [part]) : [], () => this.#rounds.trimmed(known.worker, lease, part));
  }

  /** What becomes of a gateway's leases meanwhile is that they have other numbers. */
  #naming<T>(known: KnownGateway, ranges: readonly Range[], change: () => T): T {
    this.#adopting = { known, ranges };
    try {
      return change();
    } finally {
      this.#adopting = undefined;
    }
  }

  /** What a beat says against what is known here. */
  #repair(known: KnownGateway): void {
    const { beat } = known;
    this.#state(known);
    const open = this.#round?.open;
    if (!open || beat.epoch < this.#epoch) return;
    const held = beat.key === open.key ? beat.leases : [];
    const sums = beat.kept.filter(({ key }) => key === open.key);
    const kept = sums.flatMap(({ ranges }) => ranges);
    this.#split(known, sums);
    for (const lease of this.#rounds.allLeasesOf(known.worker)) this.#repairLease(known, lease, held, kept);
    // What nobody here has leased to it is in its sum, which is therefore no sum of its leases.
    const live = this.#rounds.allLeasesOf(known.worker);
    const strange = held.find(({ lease, from, to }) =>
      lease === 0 ? !live.some((own) => own.from === from && own.to === to) : !live.some((own) => own.lease === lease),
    );
    if (strange) {
      this.#drop(known, "it holds what nobody has leased to it");
      return;
    }
    this.#pull(known);
    if (this.#rounds.closing && live.some(({ receivedAt }) => receivedAt === null)) this.#trim(known);
    if (this.#rounds.sumsDue.includes(known.worker)) this.#need(known);
  }

  /** An instalment may end within leases: what is in it comes with its sum, and the rest stays the gateway's. */
  #split(known: KnownGateway, sums: readonly KeptPartial[]): void {
    this.#naming(known, this.#rounds.allLeasesOf(known.worker), () => {
      for (const { ranges } of sums) this.#rounds.split(known.worker, ranges);
    });
  }

  #repairLease(known: KnownGateway, lease: Lease, leases: Payload<"beat">["leases"], kept: readonly Range[]): void {
    const { clock } = this.#options;
    const { worker } = known;
    const said = known.leases.get(lease.lease);
    const held = leases.find((one) => one.lease === lease.lease);
    if (held) {
      if (said) said.seen = true;
      const parts = [
        { from: lease.from, to: held.from },
        { from: held.to, to: lease.to },
      ].filter(({ from, to }) => from < to);
      if (lease.receivedAt === null) for (const part of parts) this.#trimmed(known, lease.lease, part);
      if (held.covered && lease.receivedAt === null) this.#rounds.covered(worker, lease.lease);
      return;
    }
    if (isWithin(lease, kept)) {
      if (lease.receivedAt === null) this.#rounds.covered(worker, lease.lease);
      return;
    }
    const unnamed = leases.some(({ lease: number, from, to }) => {
      return number === 0 && from === lease.from && to === lease.to;
    });
    const { from, to } = lease;
    const place = { from, to, ranges: [{ from, to }] };
    if (said && unnamed) this.#say("lease", known, { ...said.message, ...place, adopted: true });
    else if (said?.seen || lease.receivedAt !== null) this.#trimmed(known, lease.lease, lease);
    else if (said && clock.now() - said.saidAt >= SAY_AGAIN_MS) {
      said.saidAt = clock.now();
      this.#say("lease", known, said.message);
    }
  }

  #trim(known: KnownGateway, keep = 0): void {
    this.#say("trim", known, { ...this.#order(known), keep });
  }

  /** Fetches a sum that a gateway has made of what it was leased. */
  #pull(known: KnownGateway): void {
    const key = this.#round?.open.key;
    const live = this.#rounds.allLeasesOf(known.worker);
    const due = known.beat.kept.find((sum) => sum.key === key && live.some((lease) => isWithin(lease, sum.ranges)));
    if (!due || known.pulling !== undefined || key === undefined) return;
    known.pulling = due.name;
    this.#pulled(known, key, due).then(
      (counts) => {
        known.pulling = undefined;
        if (this.#known(known.id, known.life) !== known || this.#round?.open.key !== key) return;
        if (!counts) this.#drop(known, "its sum does not fit its leases");
      },
      (error) => {
        known.pulling = undefined;
        if (!(error instanceof BitswarmError)) throw error;
        // What was lost on the way is fetched again, with its next beat.
        if (error.code === "BULK_LOST" || this.#known(known.id, known.life) !== known) return;
        this.#drop(known, `its sum was refused: ${error.message}`);
      },
    );
  }

  async #pulled({ id, worker }: KnownGateway, key: string, { name, bytes, sha256 }: KeptPartial): Promise<boolean> {
    const partial = await this.#options.bulk.fetch({ holder: id, name, bytes, sha256 });
    if (this.#closed || this.#round?.open.key !== key) return true;
    return this.#rounds.partial(worker, key, partial);
  }

  /** A gateway begins anew: what it holds goes to others. */
  #drop(known: KnownGateway, why: string): void {
    const epoch = this.#epoch;
    this.#leave(known, why);
    this.#say("drop", known, { epoch, life: known.life });
  }

  #leave(known: KnownGateway, why: string): void {
    const { id, life, joined, worker } = known;
    this.#gateways.delete(id);
    this.#dead.set(id, [...(this.#dead.get(id) ?? []), life].slice(-REMEMBERED_LIVES));
    this.#trust.left(id);
    this.#away.left(id);
    if (!joined) return;
    this.#options.onEvent({
      type: "notice",
      message: `gateway ${id} is given up: ${why}; others go on with its leases`,
    });
    this.#rounds.leave(worker);
  }

  #look(): void {
    const now = this.#options.clock.now();
    // While this process had no turn, what gateways said lay unread: that is no silence of theirs.
    const stalledMs = now - (this.#lookedAt ?? now) - 2 * LOOK_EVERY_MS;
    this.#lookedAt = now;
    if (stalledMs > 0) for (const known of this.#gateways.values()) known.heardAt += stalledMs;
    if (!this.#gathered && this.#gatherUntil !== undefined && now >= this.#gatherUntil) {
      this.#gathered = true;
      // Nothing is leased before all have said what they hold.
      const taken = [...this.#gateways.values()].filter((known) => this.#admit(known));
      for (const known of taken) this.#state(known);
      for (const answer of this.#asked.splice(0)) answer();
    }
    for (const known of [...this.#gateways.values()]) {
      const silentMs = now - known.heardAt;
      if (silentMs >= GATEWAY_SILENT_MS) this.#leave(known, `silent for ${(silentMs / 1000).toFixed(1)} s`);
    }
    this.#balance(now);
  }

  /** Where some gateways will soon have nothing to do, others give back what they would be done with later. */
  #balance(now: number): void {
    if (!this.#gathered || now - this.#trimmedAt < TRIM_EVERY_MS || this.#rounds.unleased) return;
    const key = this.#round?.open.key;
    const loads: GatewayLoad[] = [];
    for (const { id, joined, beat } of this.#gateways.values()) {
      // Of one that has not begun with the round nobody knows what it has before it.
      if (joined && beat.key === key && beat.room > 0) loads.push({ id, ...beat });
    }
    for (const [id, keep] of givingBack(loads)) {
      const known = this.#gateways.get(id);
      if (!known) continue;
      this.#trimmedAt = now;
      this.#trim(known, keep);
    }
  }
}

// Coordinators and gateways of one run in a simulated world, on a bus, long bytes and a store that are in memory: the
// code of all of them is the product's, and each one's time is measured apart. One coordinator leads, the others stand
// by; one that is killed comes back with its folder.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type Rng, rng } from "../../shared/base/rng.ts";
import type { CommitRecord } from "../checkpoint/commit-log.ts";
import type { Bus, BusMessage } from "../cluster/bus.ts";
import { BusBulk } from "../cluster/bus-bulk.ts";
import type { LeaseStore } from "../cluster/lease-store.ts";
import { MemoryHub } from "../cluster/memory-hub.ts";
import { subjectsOf } from "../cluster/subjects.ts";
import type { EngineRun } from "../engine/engine.ts";
import { NatsEngine } from "../engine/nats/nats-engine.ts";
import { standsByAgain } from "../engine/nats/stands-by-again.ts";
import type { Outbox } from "../engine/outbox.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { Traffic } from "../engine/traffic.ts";
import { Ledger } from "../round/ledger.ts";
import { createTrainingState, type TrainingState } from "../state/training-state.ts";
import type { RoundPlan } from "../training/round-plan.ts";
import { TrainingCore } from "../training/training-core.ts";
import { gatewayOf } from "./crowds.ts";
import { MemoryFolder, MemoryTraining } from "./memory-folder.ts";
import type { Scenario } from "./scenario.ts";
import { operatorTokenOf } from "./surroundings.ts";
import { livingClock, type Owner } from "./timeline.ts";
import { RUN_TAG, type VirtualCoordinatorOptions } from "./virtual-coordinator.ts";
import { VirtualGateway } from "./virtual-gateway.ts";
import type { VirtualHost } from "./virtual-host.ts";
import type { VirtualLink } from "./virtual-link.ts";

const RUN = "simulated";
/** More leases than a simulated leader grants: no number is granted twice in a world. */
const LEASES_OF_A_LIFE = 2 ** 20;
/** Those who stand by begin one after another, once somebody leads. */
const STANDBY_AFTER_MS = 500;

export interface VirtualClusterOptions extends Omit<VirtualCoordinatorOptions, "clock"> {
  readonly scenario: Scenario;
  readonly clockOf: (owner: Owner) => Clock;
  /** Whose code goes on from here, within an event of the bus. */
  readonly enter: (owner: Owner) => void;
  readonly seed: number;
}

const nothing = () => undefined;
/** A leader of a simulated cluster has no volunteers of its own. */
const nobody: Outbox = {
  lease: nothing,
  accepted: nothing,
  rejected: nothing,
  cancelled: nothing,
  rests: nothing,
  audited: nothing,
  dismissed: nothing,
};

/** A coordinator's life, from its start to its death. */
interface Life {
  alive: boolean;
  readonly id: string;
  readonly bus: Bus;
  engine?: NatsEngine;
}

/** A coordinator's place: its folder outlives it. */
interface Place {
  readonly number: number;
  readonly owner: Owner;
  readonly folder: MemoryFolder;
  life: Life | undefined;
}

export class VirtualCluster implements VirtualHost {
  readonly #options: VirtualClusterOptions;
  readonly #hub: MemoryHub;
  readonly #gateways: VirtualGateway[] = [];
  readonly #places: readonly Place[];
  readonly #draws: Rng;
  /** Who led last. */
  #leader: Place | undefined;
  /** Records that were committed, by whomever. */
  #committed = 0;
  /** Of coordinators, and of gateways, all together: each numbers its leases from another place. */
  #started = 0;
  #lives = 0;
  #plan: RoundPlan | undefined;

  constructor(options: VirtualClusterOptions) {
    const { scenario, clockOf, seed, config, dataset, token } = options;
    this.#options = options;
    this.#draws = rng(seed, "simulate", "cluster");
    const chance = rng(seed, "simulate", "bus");
    const { delayMs, lose, duplicate, overtake } = scenario.bus;
    const faults = { delayMs, lose, duplicate, overtake };
    this.#hub = new MemoryHub({ clock: clockOf("world"), draw: () => chance.uniform(), run: RUN, faults });
    this.#places = Array.from({ length: 1 + scenario.standbys }, (_, number): Place => {
      const onRecord = (length: number, record: CommitRecord) => this.#record(length, record);
      const operatorToken = operatorTokenOf(token);
      const folder = new MemoryFolder({ name: `c-${number}`, config, dataset, token, operatorToken, onRecord });
      return { number, owner: `c-${number}`, folder, life: undefined };
    });
  }

  /** All that does not live. */
  start(): void {
    const { scenario, clockOf } = this.#options;
    const { gateways } = scenario;
    if (this.#gateways.length === 0) for (let number = 0; number < gateways; number++) this.#startGateway(number);
    for (const place of this.#places) {
      if (place.life) continue;
      const { owner, number } = place;
      // The first of all has begun the run when others come.
      const afterMs = this.#leader ? 0 : number * STANDBY_AFTER_MS;
      clockOf(owner).after(afterMs, () => void this.#startCoordinator(place));
    }
  }

  /** Whoever leads dies. */
  kill(): void {
    const { life } = this.#leader ?? {};
    if (!this.#leader || !life) return;
    life.alive = false;
    this.#hub.faults.cut.add(life.id);
    void life.bus.close();
    this.#leader.life = undefined;
  }

  roleOf(owner: Owner): Owner {
    const place = this.#places.find((one) => one.owner === owner);
    if (!place) return owner;
    return place === this.#leader || (this.#leader === undefined && place.number === 0) ? "leader" : "standby";
  }

  befall({ what, seconds, gateway }: Scenario["mishaps"][number]): void {
    const { faults } = this.#hub;
    const later = (call: () => void) => void this.#options.clockOf("world").after(1000 * seconds, call);
    const cut = (node: string) => {
      faults.cut.add(node);
      later(() => faults.cut.delete(node));
    };
    switch (what) {
      case "gateway-killed":
        this.#gateways[gateway]?.kill();
        faults.cut.add(`g-${gateway}`);
        later(() => this.#startGateway(gateway));
        break;
      case "gateway-cut":
        cut(`g-${gateway}`);
        break;
      case "leader-cut":
        if (this.#leader?.life) cut(this.#leader.life.id);
        break;
      case "store-down":
        faults.storeDown = true;
        later(() => {
          faults.storeDown = false;
        });
        break;
      case "store-emptied":
        this.#hub.emptyStore();
        break;
      default:
        what satisfies never;
    }
  }

  ownerFor(seat: number): Owner {
    return `g-${gatewayOf(this.#options.scenario, seat)}`;
  }

  accept(link: VirtualLink, address: string, seat: number): boolean {
    return this.#gateways[gatewayOf(this.#options.scenario, seat)]?.accept(link, address) ?? false;
  }

  blob(sha256: string, seat: number): Uint8Array<ArrayBuffer> | undefined {
    return this.#gateways[gatewayOf(this.#options.scenario, seat)]?.blob(sha256);
  }

  get reason(): string {
    return this.#leader?.life?.engine?.status().reason ?? "there is no leader";
  }

  #startGateway(number: number): void {
    const { config, dataset, token, referee, aside, over, clockOf, seed } = this.#options;
    const owner: Owner = `g-${number}`;
    this.#hub.faults.cut.delete(owner);
    const bus = this.#busOf(owner, owner);
    const clock = clockOf(owner);
    const life = this.#lives++;
    this.#gateways[number] = new VirtualGateway({
      number,
      life,
      run: RUN,
      config,
      dataset,
      token,
      clock,
      draws: rng(seed, "simulate", "gateway", number, life),
      bus,
      bulk: new BusBulk({ bus, subjects: subjectsOf(RUN), id: owner, clock }),
      referee,
      leaderPlan: () => this.#plan,
      aside,
      failed: over,
    });
  }

  /** The hub's bus, whose messages are taken on their receiver's account. */
  #busOf(node: string, owner: Owner): Bus {
    const bus = this.#hub.bus(node);
    const mine = (take: (message: BusMessage) => void) => (message: BusMessage) => {
      this.#options.enter(owner);
      take(message);
    };
    return {
      ...bus,
      subscribe: (pattern, take) => bus.subscribe(pattern, mine(take)),
      request: (subject, data, timeoutMs) => this.#entered(owner, bus.request(subject, data, timeoutMs)),
    };
  }

  /** After an answer it is the code of whoever asked that goes on. */
  async #entered<T>(owner: Owner, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } finally {
      this.#options.enter(owner);
    }
  }

  #storeOf(node: string, owner: Owner): LeaseStore {
    const store = this.#hub.store(node);
    return {
      read: (key) => this.#entered(owner, store.read(key)),
      create: (key, value) => this.#entered(owner, store.create(key, value)),
      update: (key, value, revision) => this.#entered(owner, store.update(key, value, revision)),
    };
  }

  /** A record is in some coordinator's log: committed by whoever has it first. */
  #record(length: number, record: CommitRecord): void {
    const { aside, referee, tamper, committed } = this.#options;
    if (length <= this.#committed) return;
    this.#committed = length;
    aside(() => {
      referee.committed(tamper.record?.(record) ?? record);
      if (record.type === "step") committed();
    });
  }

  async #startCoordinator(place: Place): Promise<void> {
    const { clockOf, over } = this.#options;
    const { owner, number } = place;
    const again = this.#started++;
    const id = again < this.#places.length ? `c-${number}` : `c-${number}-${again}`;
    const life: Life = { alive: true, id, bus: this.#busOf(id, owner) };
    place.life = life;
    const clock = livingClock(clockOf(owner), life);
    try {
      const engine = await this.#open(place, life, clock, again);
      if (!life.alive) return;
      life.engine = engine;
      const { finished } = await engine.run();
      if (life.alive && finished) over(undefined);
    } catch (error) {
      // One that stands by may hear of the end before its leader's own turn.
      if (!life.alive || (error instanceof BitswarmError && error.code === "RUN_ENDED")) return;
      if (!(error instanceof BitswarmError && standsByAgain(error))) {
        over(error);
        return;
      }
      // Begun again it stands by.
      life.alive = false;
      void life.bus.close();
      place.life = undefined;
      clockOf(owner).after(0, () => void this.#startCoordinator(place));
    }
  }

  async #open(place: Place, life: Life, clock: Clock, started: number): Promise<NatsEngine> {
    const { config, dataset, referee, aside } = this.#options;
    const { folder } = place;
    const { id, bus } = life;
    const store = this.#storeOf(id, place.owner);
    const bulk = new BusBulk({ bus, subjects: subjectsOf(RUN), id, clock });
    const before = folder.restored;
    const state = before?.state ?? createTrainingState(config, dataset);
    const ledger = before?.ledger ?? new Ledger();
    let training: MemoryTraining | undefined;
    const numbers = () => {
      if (!training) throw new RangeError("a coordinator without numbers writes a checkpoint");
      return training;
    };
    const onEvent = (event: RunEvent) => {
      if (event.type === "audited") aside(() => referee.audited(event));
      if (event.type !== "leads" || !life.alive) return;
      this.#leader = place;
    };
    const run: EngineRun = {
      run: RUN,
      runTag: RUN_TAG,
      state,
      ledger,
      log: folder.log,
      writeCheckpoint: folder.writer(numbers),
      keeping: folder.keeping,
      trust: folder.trust,
      outbox: nobody,
      traffic: new Traffic(),
      incarnation: started + 1,
      firstLease: 1 + started * LEASES_OF_A_LIFE,
      clock,
      draw: () => this.#draws.uniform(),
      onEvent,
      startTraining: async (numbered: TrainingState) => {
        training = new MemoryTraining(new TrainingCore(numbered, RUN_TAG));
        return training;
      },
      ...(before ? { resumedFrom: before.checkpoint } : {}),
    };
    return NatsEngine.open(
      {
        ports: { bus, bulk, store, close: () => bus.close() },
        id,
        onGrant: (_lease, plan) => {
          this.#plan = plan;
        },
        onSealed: (plan, { ranges }) => {
          const { core, merged } = numbers();
          if (life.alive) aside(() => referee.sealed(plan, core.sum, ranges, merged));
        },
      },
      run,
    );
  }
}

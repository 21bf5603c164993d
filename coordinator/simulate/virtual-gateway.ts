// A gateway's own code in a simulated world: sessions, rounds and sums for its volunteers, a worker to the leader.

import type { Clock } from "../../shared/base/clock.ts";
import { workerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import type { Rng } from "../../shared/base/rng.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { phasesOf } from "../../shared/run/program.ts";
import type { Bulk } from "../cluster/bulk.ts";
import type { Bus } from "../cluster/bus.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { Traffic } from "../engine/traffic.ts";
import { Gateway } from "../gateway/gateway.ts";
import { sessionLimits } from "../session/session-limits.ts";
import { Sessions } from "../session/sessions.ts";
import { STATUS_EVERY_MS } from "../session/status-feed.ts";
import { numberedFrom } from "../session/worker-names.ts";
import { assembleState } from "../state/training-state.ts";
import type { PartialFacts } from "../sum/partial.ts";
import { InlineTraining } from "../training/inline-training.ts";
import type { RoundPlan } from "../training/round-plan.ts";
import { contributionLimit } from "../training/round-plan.ts";
import { TrainingCore } from "../training/training-core.ts";
import type { Referee } from "./referee.ts";
import { operatorTokenOf } from "./surroundings.ts";
import { livingClock } from "./timeline.ts";
import { RUN_TAG, watchedOutbox } from "./virtual-coordinator.ts";
import type { VirtualLink } from "./virtual-link.ts";

/** More leases than a simulated gateway grants: no number is granted twice in a world. */
const LEASES_OF_A_GATEWAY = 2 ** 20;

export interface VirtualGatewayOptions {
  readonly number: number;
  /** Another each time that any gateway of the world begins. */
  readonly life: number;
  readonly run: string;
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly token: string;
  readonly clock: Clock;
  readonly draws: Rng;
  readonly bus: Bus;
  readonly bulk: Bulk;
  readonly referee: Referee;
  /** The leader's round at hand: a gateway's own grows with its leases. */
  readonly leaderPlan: () => RoundPlan | undefined;
  readonly aside: (look: () => void) => void;
  readonly failed: (failure: unknown) => void;
}

/** Says of which positions each sum is that leaves the gateway. */
class SummingTraining extends InlineTraining {
  readonly #summed: (sha256: string, ranges: readonly Range[]) => void;

  constructor(core: TrainingCore, summed: (sha256: string, ranges: readonly Range[]) => void) {
    super(core);
    this.#summed = summed;
  }

  override async partial(facts: PartialFacts): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await super.partial(facts);
    this.#summed(contentHash(bytes), facts.ranges);
    return bytes;
  }
}

export class VirtualGateway {
  readonly #links = new Set<VirtualLink>();
  readonly #life = { alive: true };
  readonly #gateway: Gateway;
  readonly #sessions: Sessions;

  constructor(options: VirtualGatewayOptions) {
    const { number, life, run, config, dataset, token, draws, bus, bulk, referee, leaderPlan, aside, failed } = options;
    const id = `g-${number}`;
    const clock = livingClock(options.clock, this.#life);
    const state = assembleState(config, dataset, { parameters: {} });
    const by = `${id} ${life}`;
    const training = new SummingTraining(new TrainingCore(state, RUN_TAG), (sha256, ranges) =>
      aside(() => referee.summed(by, sha256, ranges)),
    );
    const word = () => draws.uint32().toString(16).padStart(8, "0");
    const onEvent = (event: RunEvent) => {
      if (event.type === "audited") aside(() => referee.audited(event));
    };
    const names = numberedFrom(1);
    this.#sessions = new Sessions({
      token,
      operatorToken: operatorTokenOf(token),
      traffic: new Traffic(),
      contributionLimit: contributionLimit(state),
      workerNames: () => workerId(`${id}.${names()}`),
      welcome: { run, runTag: RUN_TAG, config, dataset, program: phasesOf(config).outline },
      limits: sessionLimits,
      nonce: () => Array.from({ length: 8 }, word).join(""),
      sessionToken: () => Array.from({ length: 4 }, word).join(""),
      canarySeed: () => draws.uint32(),
      clock,
      onEvent,
    });
    this.#gateway = new Gateway({
      id,
      run: { run, runTag: RUN_TAG, config, networks: state.networks, program: state.program },
      bus,
      bulk,
      clock,
      draw: () => draws.uniform(),
      training,
      outbox: watchedOutbox(this.#sessions, referee, aside),
      onEvent,
      firstLease: 1 + life * LEASES_OF_A_GATEWAY,
      onGrant: (placed, plan) =>
        aside(() => {
          const within = leaderPlan()?.ranges ?? plan.ranges;
          referee.granted(placed.lease.worker, placed, { plan, within, by });
        }),
    });
    const { inbox } = this.#gateway;
    this.#sessions.serve({ inbox, blob: (name) => this.#gateway.blob(name) });
    clock.every(STATUS_EVERY_MS, () => this.#sessions.broadcast(this.#gateway.status()));
    this.#gateway.run().catch(failed);
  }

  /** Dies in the middle of whatever it does: connections break, and what it has covered is lost. */
  kill(): void {
    this.#life.alive = false;
    this.#gateway.kill();
    for (const link of this.#links) link.cut();
    this.#links.clear();
  }

  accept(link: VirtualLink, address: string): boolean {
    const opening = this.#sessions.open(address);
    if (!this.#life.alive || opening.kind !== "opened") return false;
    this.#sessions.accept(link, address, () => link.received(), opening.release);
    this.#links.add(link);
    link.on("close", () => {
      this.#links.delete(link);
      opening.release();
    });
    return true;
  }

  blob(name: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#life.alive ? this.#gateway.blob(name) : undefined;
  }
}

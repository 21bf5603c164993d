// A whole run in virtual time: volunteers come, stall, lie and go as the scenario says, and the coordinator's own code
// copes.

import { rng } from "../../shared/base/rng.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { type CanaryLayer, canaryAnswer, canaryLayers } from "../../shared/model/canary.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { buildNetworks, networkNamed } from "../../shared/run/networks.ts";
import { type Program, phaseProgram } from "../../shared/run/program.ts";
import { type ContributionLayout, phaseLayout } from "../../shared/wire/contribution.ts";
import type { FetchedContent } from "../../worker/content/content-ports.ts";
import { Account } from "./account.ts";
import { Population } from "./population.ts";
import { Referee } from "./referee.ts";
import { type Mark, reportOf, type SimulationReport } from "./report.ts";
import type { Scenario } from "./scenario.ts";
import type { Surroundings } from "./surroundings.ts";
import { type Owner, Timeline } from "./timeline.ts";
import { VirtualCluster } from "./virtual-cluster.ts";
import { type Tamper, VirtualCoordinator } from "./virtual-coordinator.ts";
import type { VirtualHost } from "./virtual-host.ts";
import { VirtualLink } from "./virtual-link.ts";
import { virtualDataset, virtualRunConfig } from "./virtual-run.ts";
import type { Volunteer } from "./volunteer.ts";

const TOKEN = "simulated";
/** A connection that nothing answers is given up after so long. */
const CONNECT_MS = 5000;
/** Events after which the process's own timers have their turn. */
const EVENTS_A_TURN = 256;

/** Told of each committed step. */
export type OnStep = (step: number, steps: number) => void;

export class World implements Surroundings {
  readonly timeline = new Timeline();
  readonly scenario: Scenario;
  readonly account = new Account(this.timeline);
  readonly referee: Referee;
  readonly token = TOKEN;
  readonly microbatch: number;
  readonly dataset: Dataset;
  readonly evil: boolean;
  readonly #seed: number;
  readonly #config: RunConfig;
  readonly #coordinator: VirtualHost;
  readonly #population: Population;
  readonly #program: Program;
  readonly #networks: ReturnType<typeof buildNetworks>;
  readonly #canary: readonly CanaryLayer[];
  readonly #layouts = new Map<string, ContributionLayout>();
  readonly #bytes = { up: 0, down: 0 };
  /** Measured, of each whose time is. */
  readonly #cpuMs = new Map<Owner, number>();
  #owner: Owner = "world";
  #events = 0;
  #downloads = 0;
  #over = false;
  /** At the commit of each step. */
  readonly #marks: Mark[] = [];
  readonly #onStep: OnStep;

  constructor(scenario: Scenario, seed: number, tamper: Tamper, onStep: OnStep = () => undefined) {
    this.scenario = scenario;
    this.#onStep = onStep;
    this.#seed = seed;
    this.microbatch = scenario.microbatch;
    const { evil } = scenario.link;
    this.evil = evil.lose + evil.duplicate + evil.reorder + evil.corrupt > 0;
    this.#config = virtualRunConfig(scenario, seed);
    const dataset = virtualDataset(this.#config, scenario.data.chunk);
    this.dataset = dataset;
    this.#program = phaseProgram(this.#config, dataset.train.samples);
    this.#networks = buildNetworks(this.#config, dataset, this.#program);
    this.#canary = canaryLayers(networkNamed(this.#networks, this.#program.primary).graph);
    this.#population = new Population(this, seed);
    this.referee = new Referee({
      timeline: this.timeline,
      microbatch: this.microbatch,
      passes: this.#program.passes.map(({ samples }) => samples),
      clip: this.#config.trust.clip,
      evil: this.evil,
    });
    const surroundings = {
      config: this.#config,
      dataset,
      token: TOKEN,
      draws: rng(seed, "simulate", "coordinator"),
      referee: this.referee,
      tamper,
      aside: (look: () => void) => this.#aside(look),
      committed: () => this.#committed(),
      over: (failure: unknown) => this.#end(failure),
    };
    this.#coordinator =
      scenario.gateways > 0
        ? new VirtualCluster({
            ...surroundings,
            scenario,
            seed,
            clockOf: (owner) => this.timeline.clock(owner),
            enter: (owner) => {
              this.#owner = owner;
            },
          })
        : new VirtualCoordinator({ ...surroundings, clock: this.timeline.clock("coordinator") });
  }

  /** Until the run is over, an invariant is broken, or nothing goes on. */
  async run(): Promise<SimulationReport> {
    const { timeline, referee, scenario } = this;
    const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()];
    this.#population.begin();
    this.#expectRestarts();
    this.#expectMishaps();
    timeline.at(0, scenario.gateways > 0 ? "leader" : "coordinator", () => this.#coordinator.start());
    const patienceMs = 1000 * scenario.patienceSeconds;
    while (!this.#over && referee.violations.length === 0) {
      const event = timeline.next();
      if (!event) throw new RangeError("the simulated world came to rest before its run was over");
      this.#events++;
      // The process around it has its turn: timers of a test, signals.
      if (this.#events % EVENTS_A_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      await this.#measured(event.owner, event.call);
      if (timeline.now - referee.lastCommitAt > patienceMs) {
        referee.violation(`no step was committed for ${scenario.patienceSeconds} s: ${this.#coordinator.reason}`);
      }
    }
    const { user, system } = process.cpuUsage(cpuBefore);
    // The process's CPU time in the proportion of the clock's: other programs slow both parts alike.
    const share = (user + system) / 1000 / (performance.now() - startedAt);
    const cpuOf = (owner: Owner) => (this.#cpuMs.get(owner) ?? 0) * share;
    const whole = new Map(
      Array.from({ length: Math.ceil(scenario.gateways / scenario.whole) }, (_, i) => {
        const owner: Owner = `g-${i * scenario.whole}`;
        return [owner, cpuOf(owner)] as const;
      }),
    );
    return reportOf({
      scenario,
      seed: this.#seed,
      referee,
      shares: this.#marks.at(-1)?.shares ?? this.account.shares(),
      marks: this.#marks,
      seconds: referee.lastCommitAt / 1000,
      bytes: this.#bytes,
      chunks: scenario.data.chunk > 0 ? Math.ceil(this.dataset.train.samples / scenario.data.chunk) : 0,
      passSteps: this.#program.passes.map(({ steps }) => steps),
      cpuMs: cpuOf(scenario.gateways > 0 ? "leader" : "coordinator"),
      standbysCpuMs: scenario.gateways > 0 && scenario.standbys > 0 ? [cpuOf("standby") / scenario.standbys] : [],
      gatewaysCpuMs: whole,
      events: this.#events,
    });
  }

  connect(volunteer: Pick<Volunteer, "profile">, caller: Parameters<Surroundings["connect"]>[1]): void {
    const { timeline } = this;
    const { quality, draws, index, seat } = volunteer.profile;
    const blockedUntil = this.#population.barrier(volunteer);
    const refuse = (afterMs: number) => timeline.at(timeline.now + afterMs, "world", () => caller.refused());
    if (blockedUntil() > timeline.now) {
      refuse(CONNECT_MS);
      return;
    }
    // TCP's handshake, then HTTP's: the coordinator sees the request after three ways, the volunteer its answer after
    // four.
    const owner = this.#coordinator.ownerFor(seat);
    timeline.at(timeline.now + 3 * quality.latencyMs, owner, () => {
      const link = new VirtualLink({
        timeline,
        owner,
        quality,
        draws: rng(this.#seed, "simulate", "link", index, draws.uint32()),
        volunteer: caller,
        blockedUntil,
        onBytes: (way, bytes) => {
          this.#bytes[way] += bytes;
        },
      });
      if (!this.#coordinator.accept(link, `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, seat)) {
        refuse(quality.latencyMs);
        return;
      }
      timeline.at(timeline.now + quality.latencyMs, "world", () => {
        if (link.readyState === 1) caller.opened(link);
      });
    });
  }

  secret(index: number, life = 0): Uint8Array {
    const path = life === 0 ? [index] : [index, life];
    const draws = rng(this.#seed, "simulate", "secret", ...path);
    return Uint8Array.from({ length: 32 }, () => draws.below(256));
  }

  fetch(volunteer: Pick<Volunteer, "profile">, url: string): Promise<FetchedContent> {
    const { timeline } = this;
    const { seat, quality } = volunteer.profile;
    const { latencyMs, downloadBytesPerMs, payloadScale } = quality;
    const blockedUntil = this.#population.barrier(volunteer);
    const sha256 = new URL(url).pathname.split("/").at(-1) ?? "";
    return new Promise((resolve, reject) => {
      const fail = (afterMs: number) =>
        timeline.at(timeline.now + afterMs, "world", () => reject(new Error("the coordinator does not answer")));
      if (blockedUntil() > timeline.now) {
        fail(CONNECT_MS);
        return;
      }
      // As far as a connection's request.
      timeline.at(timeline.now + 3 * latencyMs, this.#coordinator.ownerFor(seat), () => {
        const bytes = this.#coordinator.blob(sha256, seat);
        const ms = latencyMs + ((bytes?.length ?? 0) * payloadScale) / downloadBytesPerMs;
        const arrayBuffer = async () => Uint8Array.from(bytes ?? []).buffer;
        const answer = { ok: bytes !== undefined, status: bytes ? 200 : 503, arrayBuffer };
        timeline.at(timeline.now + ms, "world", () => resolve(answer));
      });
    });
  }

  downloaded(chunks: number): void {
    this.#downloads += chunks;
  }

  canary(seed: number): number {
    return canaryAnswer(this.#canary, seed);
  }

  layout({ phase }: Parameters<Surroundings["layout"]>[0]): ContributionLayout {
    const known = this.#layouts.get(phase);
    if (known) return known;
    const layout = phaseLayout(this.#networks, phaseNamed(this.#program, phase), this.#config.sync.kind);
    this.#layouts.set(phase, layout);
    return layout;
  }

  /** The time goes to the event's owner, or to whom a message of the bus takes it to. */
  async #measured(owner: Owner, call: () => void): Promise<void> {
    const before = performance.now();
    this.#owner = owner;
    call();
    await settled();
    this.#charge(performance.now() - before);
  }

  #charge(ms: number): void {
    if (this.#owner === "world") return;
    const owner = this.#coordinator.roleOf(this.#owner);
    this.#cpuMs.set(owner, (this.#cpuMs.get(owner) ?? 0) + ms);
  }

  /** Does what is the simulation's own in the middle of the coordinator's doings, and does not count it as theirs. */
  #aside(look: () => void): void {
    const before = performance.now();
    look();
    this.#charge(before - performance.now());
  }

  #expectRestarts(): void {
    for (const { atSeconds, downSeconds } of this.scenario.restarts) {
      const owner = this.scenario.gateways > 0 ? "leader" : "coordinator";
      this.timeline.at(1000 * atSeconds, owner, () => this.#coordinator.kill());
      this.timeline.at(1000 * (atSeconds + downSeconds), owner, () => this.#coordinator.start());
    }
  }

  #expectMishaps(): void {
    for (const mishap of this.scenario.mishaps)
      this.timeline.at(1000 * mishap.atSeconds, "world", () => this.#coordinator.befall(mishap));
  }

  #end(failure: unknown): void {
    this.#over = true;
    if (failure !== undefined) {
      this.referee.violation(`the run failed: ${failure instanceof Error ? failure.message : String(failure)}`);
      return;
    }
    this.referee.finish();
  }

  #committed(): void {
    const { committed, poisoned, steps } = this.referee.counts;
    // Steps that a restart undid are committed again.
    this.#marks.length = Math.max(0, steps - 1);
    const downloads = this.#downloads;
    this.#marks.push({ shares: this.account.shares(), samples: committed - poisoned, downloads });
    this.#onStep(steps, this.#program.steps);
  }
}

/** Until all promises that an event settled have gone on: Node runs no tick before a promise that waits. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** One run of a scenario, a function of scenario and seed but for the measured CPU time. */
export function simulate(
  scenario: Scenario,
  seed: number,
  tamper: Tamper = {},
  onStep?: OnStep,
): Promise<SimulationReport> {
  return new World(scenario, seed, tamper, onStep).run();
}

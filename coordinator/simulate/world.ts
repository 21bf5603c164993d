// A whole run in virtual time: volunteers come, stall, lie and go as the scenario says, and the coordinator's own code
// copes.

import { rng } from "../../shared/base/rng.ts";
import { type CanaryLayer, canaryAnswer, canaryLayers } from "../../shared/model/canary.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { buildNetworks, networkNamed } from "../../shared/run/networks.ts";
import { type Program, phaseProgram } from "../../shared/run/program.ts";
import { type ContributionLayout, phaseLayout } from "../../shared/wire/contribution.ts";
import type { FetchedContent } from "../../worker/session/session-ports.ts";
import { Account } from "./account.ts";
import { Population } from "./population.ts";
import { Referee } from "./referee.ts";
import { type Mark, reportOf, type SimulationReport } from "./report.ts";
import type { Scenario } from "./scenario.ts";
import type { Surroundings } from "./surroundings.ts";
import { Timeline } from "./timeline.ts";
import { type Tamper, VirtualCoordinator } from "./virtual-coordinator.ts";
import { VirtualLink } from "./virtual-link.ts";
import { virtualDataset, virtualRunConfig } from "./virtual-run.ts";
import type { Volunteer } from "./volunteer.ts";

const TOKEN = "simulated";
/** A connection that nothing answers is given up after so long. */
const CONNECT_MS = 5000;
/** Events after which the process's own timers have their turn. */
const EVENTS_A_TURN = 256;

export class World implements Surroundings {
  readonly timeline = new Timeline();
  readonly scenario: Scenario;
  readonly account = new Account(this.timeline);
  readonly referee: Referee;
  readonly token = TOKEN;
  readonly microbatch: number;
  readonly evil: boolean;
  readonly #seed: number;
  readonly #config: RunConfig;
  readonly #coordinator: VirtualCoordinator;
  readonly #population: Population;
  readonly #program: Program;
  readonly #networks: ReturnType<typeof buildNetworks>;
  readonly #canary: readonly CanaryLayer[];
  readonly #layouts = new Map<string, ContributionLayout>();
  readonly #bytes = { up: 0, down: 0 };
  #coordinatorMs = 0;
  #events = 0;
  #over = false;
  /** At the commit of each step. */
  readonly #marks: Mark[] = [];

  constructor(scenario: Scenario, seed: number, tamper: Tamper) {
    this.scenario = scenario;
    this.#seed = seed;
    this.microbatch = scenario.microbatch;
    const { evil } = scenario.link;
    this.evil = evil.lose + evil.duplicate + evil.reorder + evil.corrupt > 0;
    this.#config = virtualRunConfig(scenario, seed);
    const dataset = virtualDataset(this.#config);
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
    this.#coordinator = new VirtualCoordinator({
      config: this.#config,
      dataset,
      token: TOKEN,
      clock: this.timeline.clock("coordinator"),
      draws: rng(seed, "simulate", "coordinator"),
      referee: this.referee,
      tamper,
      aside: (look) => this.#aside(look),
      committed: () => this.#committed(),
      over: (failure) => this.#end(failure),
    });
  }

  /** Until the run is over, an invariant is broken, or nothing goes on. */
  async run(): Promise<SimulationReport> {
    const { timeline, referee, scenario } = this;
    const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()];
    this.#population.begin();
    this.#expectRestarts();
    timeline.at(0, "coordinator", () => this.#coordinator.start());
    const patienceMs = 1000 * scenario.patienceSeconds;
    while (!this.#over && referee.violations.length === 0) {
      const event = timeline.next();
      if (!event) throw new RangeError("the simulated world came to rest before its run was over");
      this.#events++;
      // The process around it has its turn: timers of a test, signals.
      if (this.#events % EVENTS_A_TURN === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      if (event.owner === "coordinator") await this.#measured(event.call);
      else {
        event.call();
        await settled();
      }
      if (timeline.now - referee.lastCommitAt > patienceMs) {
        referee.violation(`no step was committed for ${scenario.patienceSeconds} s: ${this.#coordinator.reason}`);
      }
    }
    const { user, system } = process.cpuUsage(cpuBefore);
    // The process's CPU time in the proportion of the clock's: other programs slow both parts alike.
    const cpuMs = ((user + system) / 1000) * (this.#coordinatorMs / (performance.now() - startedAt));
    return reportOf({
      scenario,
      seed: this.#seed,
      referee,
      shares: this.#marks.at(-1)?.shares ?? this.account.shares(),
      marks: this.#marks,
      seconds: referee.lastCommitAt / 1000,
      bytes: this.#bytes,
      cpuMs,
      events: this.#events,
    });
  }

  connect(volunteer: Pick<Volunteer, "profile">, caller: Parameters<Surroundings["connect"]>[1]): void {
    const { timeline } = this;
    const { quality, draws, index } = volunteer.profile;
    const blockedUntil = this.#population.barrier(volunteer);
    const refuse = (afterMs: number) => timeline.at(timeline.now + afterMs, "world", () => caller.refused());
    if (blockedUntil() > timeline.now) {
      refuse(CONNECT_MS);
      return;
    }
    // TCP's handshake, then HTTP's: the coordinator sees the request after three ways, the volunteer its answer after
    // four.
    timeline.at(timeline.now + 3 * quality.latencyMs, "coordinator", () => {
      const link = new VirtualLink({
        timeline,
        quality,
        draws: rng(this.#seed, "simulate", "link", index, draws.uint32()),
        volunteer: caller,
        blockedUntil,
        onBytes: (way, bytes) => {
          this.#bytes[way] += bytes;
        },
      });
      if (!this.#coordinator.accept(link, `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`)) {
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
    const { latencyMs, downloadBytesPerMs, payloadScale } = volunteer.profile.quality;
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
      timeline.at(timeline.now + 3 * latencyMs, "coordinator", () => {
        const bytes = this.#coordinator.blob(sha256);
        const ms = latencyMs + ((bytes?.length ?? 0) * payloadScale) / downloadBytesPerMs;
        const arrayBuffer = async () => Uint8Array.from(bytes ?? []).buffer;
        const answer = { ok: bytes !== undefined, status: bytes ? 200 : 503, arrayBuffer };
        timeline.at(timeline.now + ms, "world", () => resolve(answer));
      });
    });
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

  async #measured(call: () => void): Promise<void> {
    const before = performance.now();
    call();
    await settled();
    this.#coordinatorMs += performance.now() - before;
  }

  /** Does what is the simulation's own in the middle of the coordinator's doings, and does not count it as theirs. */
  #aside(look: () => void): void {
    const before = performance.now();
    look();
    this.#coordinatorMs -= performance.now() - before;
  }

  #expectRestarts(): void {
    for (const { atSeconds, downSeconds } of this.scenario.restarts) {
      this.timeline.at(1000 * atSeconds, "coordinator", () => this.#coordinator.kill());
      this.timeline.at(1000 * (atSeconds + downSeconds), "coordinator", () => this.#coordinator.start());
    }
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
    this.#marks.push({ shares: this.account.shares(), samples: committed - poisoned });
  }
}

/** Until all promises that an event settled have gone on: Node runs no tick before a promise that waits. */
function settled(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** One run of a scenario, a function of scenario and seed but for the measured CPU time. */
export function simulate(scenario: Scenario, seed: number, tamper: Tamper = {}): Promise<SimulationReport> {
  return new World(scenario, seed, tamper).run();
}

// Plays what befalls a cluster, mishap after mishap, each once all is well again; then lets the run come to its end,
// and says how long each pause between commits was and what caused it.

import { loadavg } from "node:os";
import { checkRun, type RunCheck } from "../../deploy/cluster/check-run.mjs";
import { Cluster, type ClusterOptions, coordinators, servers } from "./cluster.ts";
import type { Mishap, StormPlan } from "./storm-plan.ts";

/** So many commits come between two mishaps. */
const COMMITS_BETWEEN = 3;
const LOOK_MS = 20;
/** After so long without a commit or what it waits for, a storm says what that is, and gives up. */
const PATIENCE_MS = 120_000;

export interface Blow {
  readonly kind: Mishap["kind"];
  /** Whom it hit, and how. */
  readonly what: string;
  readonly step: number;
  /** Seconds of the storm. */
  readonly at: number;
  /** The longest pause between two commits from then to the next mishap. */
  readonly gapMs: number;
}

export interface StormReport {
  readonly seed: number;
  readonly gateways: number;
  readonly blows: readonly Blow[];
  /** Mishaps for which the run was too short. */
  readonly left: number;
  /** The longest pause before anything happened, and after all had. */
  readonly calmGapMs: number;
  /** The longest that whoever looked on had no turn. */
  readonly stallMs: number;
  /** Of this machine, at the end. */
  readonly load: number;
  readonly seconds: number;
  readonly failures: readonly string[];
  readonly check: RunCheck;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export class Storm {
  readonly #plan: StormPlan;
  readonly #cluster: Cluster;
  readonly #begun = performance.now();
  readonly #blows: { readonly mishap: Mishap; readonly what: string; readonly step: number; readonly at: number }[] =
    [];
  readonly #tell: (line: string) => void;

  private constructor(plan: StormPlan, cluster: Cluster, tell: (line: string) => void) {
    this.#plan = plan;
    this.#cluster = cluster;
    this.#tell = tell;
  }

  /** Ends all that it started before it settles. */
  static async play(
    plan: StormPlan,
    options: Omit<ClusterOptions, "gateways">,
    tell: (line: string) => void = () => {},
  ): Promise<StormReport> {
    const cluster = await Cluster.start({ ...options, gateways: plan.gateways });
    try {
      return await new Storm(plan, cluster, tell).#blow();
    } finally {
      await cluster.close();
    }
  }

  async #blow(): Promise<StormReport> {
    const cluster = this.#cluster;
    const { watch } = cluster;
    await this.#until("the first commits", () => watch.seen.length >= COMMITS_BETWEEN);
    const calmFrom = watch.seen[0].at;
    let left = 0;
    for (const mishap of this.#plan.mishaps) {
      await this.#allWell();
      if (cluster.isOver) {
        left++;
        continue;
      }
      await this.#befall(mishap);
    }
    await this.#allWell();
    const stormTo = performance.now();
    cluster.hurry();
    await this.#until("the end of the run at both coordinators", () =>
      coordinators.every((id) => cluster.node(id).isDone),
    );
    await this.#until("the end of all gateways", () => cluster.gateways.every((id) => cluster.node(id).isDone));
    for (const id of coordinators) {
      cluster.node(id).again();
      await this.#until(`${id}, begun again after the end, to end`, () => cluster.node(id).isDone);
    }
    const end = watch.seen.at(-1)?.at ?? stormTo;
    const first = this.#blows[0]?.at ?? end;
    return {
      seed: this.#plan.seed,
      gateways: this.#plan.gateways,
      blows: this.#blows.map(({ mishap, what, step, at }, index) => {
        const to = this.#blows[index + 1]?.at ?? stormTo;
        const seconds = Math.round((at - this.#begun) / 100) / 10;
        return {
          kind: mishap.kind,
          what,
          step,
          at: seconds,
          gapMs: Math.round(watch.longestGap(at, Math.min(to, end))),
        };
      }),
      left,
      calmGapMs: Math.round(watch.longestGap(calmFrom, first)),
      stallMs: Math.round(watch.longestStallMs),
      load: loadavg()[0],
      seconds: Math.round((performance.now() - this.#begun) / 1000),
      failures: cluster.failures,
      check: checkRun(coordinators.map((id) => cluster.runDir(id))),
    };
  }

  get #step(): number {
    return Math.max(...this.#cluster.watch.steps);
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const since = performance.now();
    const { nodes, watch, failures } = this.#cluster;
    while (!holds()) {
      if (performance.now() - Math.max(since, watch.seen.at(-1)?.at ?? 0) > PATIENCE_MS) {
        const state = [...nodes].map(
          ([name, node]) => `${name} ${node.isDone ? "is done" : node.runs ? "runs" : "is down"}`,
        );
        const blows = this.#blows.map(({ what: blow, step }) => `after step ${step}: ${blow}`);
        throw new Error(
          `waited ${PATIENCE_MS / 1000} s for ${what}; logs are at ${watch.steps.join(" and ")} steps; ${state.join(", ")}\n${[...blows, ...failures].join("\n")}`,
        );
      }
      await sleep(LOOK_MS);
    }
  }

  /** Commits come, and the standby has each as the leader has it: one that has just loaded the run may miss some. */
  async #allWell(): Promise<void> {
    const cluster = this.#cluster;
    const { watch } = cluster;
    let before = watch.steps;
    const followed = before.map(() => 0);
    await this.#until("commits, and a standby that follows", () => {
      if (cluster.isOver) return true;
      const { steps } = watch;
      for (const [index, step] of steps.entries()) if (step !== before[index]) followed[index]++;
      before = steps;
      return Math.min(...followed) >= COMMITS_BETWEEN && Math.abs(steps[0] - steps[1]) <= 1;
    });
  }

  async #befall(mishap: Mishap): Promise<void> {
    const cluster = this.#cluster;
    const { leader, server } = await cluster.leadership();
    const standby = coordinators.find((id) => id !== leader) ?? "c-1";
    const gateway = cluster.gateways[this.#blows.length % cluster.gateways.length];
    const others = servers.filter((name) => name !== server);
    const { net } = cluster;
    const begin = (what: string) => {
      this.#blows.push({ mishap, what, step: this.#step, at: performance.now() });
      this.#tell(`${Math.round((performance.now() - this.#begun) / 1000)} s, step ${this.#step}: ${what}`);
    };
    const killed = async (...names: readonly string[]) => {
      const ms = "ms" in mishap ? mishap.ms : 0;
      begin(`${names.join(" and ")} killed, begun again after ${ms} ms`);
      await Promise.all(names.map((name) => cluster.node(name).kill()));
      await sleep(ms);
      for (const name of names) cluster.node(name).start();
    };
    const stopped = async (name: string, ms: number) => {
      begin(`${name} stopped for ${ms} ms`);
      cluster.node(name).signal("SIGSTOP");
      await sleep(ms);
      cluster.node(name).signal("SIGCONT");
    };
    const cutOff = async (name: string, ms: number) => {
      begin(`${name} cut off for ${ms} ms`);
      await net.cutOff(name);
      await sleep(ms);
      await net.joined(name);
    };
    const parted = async (one: readonly string[], other: readonly string[], ms: number) => {
      begin(`${one.join(", ")} | ${other.join(", ")} for ${ms} ms`);
      await net.part(one, other);
      await sleep(ms);
      await net.mend(one, other);
    };
    const filled = async (name: string, ms: number) => {
      begin(`the disk of ${name} full for ${ms} ms`);
      net.fill(name);
      await sleep(ms);
      net.free(name);
    };
    switch (mishap.kind) {
      case "leader-killed":
        return killed(leader);
      case "standby-killed":
        return killed(standby);
      case "gateway-killed":
        return killed(gateway);
      case "leader-and-gateway-killed":
        return killed(leader, gateway);
      case "coordinators-killed":
        return killed(leader, standby);
      case "server-killed":
        return killed(others[0]);
      case "store-killed":
        return killed(server);
      case "two-servers-killed":
        return killed(server, others[0]);
      case "leader-stopped":
        return stopped(leader, mishap.ms);
      case "gateway-stopped":
        return stopped(gateway, mishap.ms);
      case "store-stopped":
        return stopped(server, mishap.ms);
      case "emptied":
        begin(`the two keys lost: ${mishap.how}`);
        await cluster.ask(mishap.how);
        return;
      case "leader-cut-off":
        return cutOff(leader, mishap.ms);
      case "standby-cut-off":
        return cutOff(standby, mishap.ms);
      case "gateway-cut-off":
        return cutOff(gateway, mishap.ms);
      case "store-cut-off":
        return cutOff(server, mishap.ms);
      case "split":
        return parted([leader, server], [standby, ...others, ...cluster.gateways], mishap.ms);
      case "leader-parted":
        return parted([leader], others, mishap.ms);
      case "leader-disk-full":
        return filled(leader, mishap.ms);
      case "standby-disk-full":
        return filled(standby, mishap.ms);
      default:
        return mishap satisfies never;
    }
  }
}

// A cluster as deploy/cluster has it, each part on a machine of its own: three nats-servers, two coordinators, gateways
// with a crew of workers each, and an operator who has a coordinator's key. `npm run build` first: all of it is built
// programs.

import type { ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { makeKeys } from "../../deploy/cluster/make-keys.mjs";
import { builtProgram } from "../fixtures/programs.ts";
import { testTool } from "../fixtures/test-tool.ts";
import { ClusterNet } from "./cluster-net.ts";
import { ClusterNode } from "./cluster-node.ts";
import { CommitWatch } from "./commit-watch.ts";

const built = (path: string) => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url));
const RUN = "storm";
const PORT = 8080;
const LOOK_MS = 50;
/** Of what begins, and of an answer of the store: whoever waits longer waits for ever. */
const PATIENCE_MS = 180_000;

export const servers = ["nats-0", "nats-1", "nats-2"] as const;
export const coordinators = ["c-0", "c-1"] as const;
const OPERATOR = "c-op";
/** The machine of all who compute. */
const CREW = "crew";

/** What the store says. */
export interface Leadership {
  readonly leader: string;
  readonly epoch: number;
  /** The nats-server that answers for the two keys. */
  readonly server: string;
}

export interface ClusterOptions {
  readonly folder: string;
  /** Of `coordinator start`. */
  readonly flags: readonly string[];
  readonly gateways: number;
  /** Who computes: scripted workers over real sockets, or WebGPU in Deno. */
  readonly crews: "scripted" | "deno";
  readonly workers: number;
  /** What a scripted worker needs for an answer. */
  readonly computeMs: number;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Nothing where it takes longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export class Cluster {
  readonly nodes = new Map<string, ClusterNode>();
  readonly gateways: readonly string[];
  readonly net: ClusterNet;
  readonly watch: CommitWatch;
  /** Coordinators and gateways that ended with an error, and were begun again. */
  readonly failures: string[] = [];
  readonly #options: ClusterOptions;
  #operator: ChildProcess | undefined;
  readonly #answers: ((line: string) => void)[] = [];

  private constructor(options: ClusterOptions, gateways: readonly string[], net: ClusterNet) {
    this.#options = options;
    this.gateways = gateways;
    this.net = net;
    this.watch = new CommitWatch(coordinators.map((id) => join(this.runDir(id), "commits.ndjson")));
  }

  /** Starts all of it; resolves once there is work for everybody. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const gateways = Array.from({ length: options.gateways }, (_, index) => `g-${index}`);
    const net = await ClusterNet.open([...servers, ...coordinators, ...gateways, CREW, OPERATOR], coordinators);
    const cluster = new Cluster(options, gateways, net);
    try {
      await cluster.#start();
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { folder, flags } = this.#options;
    const { gateways, net } = this;
    const keys = join(folder, "keys");
    const hosts = Object.fromEntries(servers.map((name) => [name, net.address(name)]));
    await makeKeys(keys, { nodes: servers, hosts, coordinators: [...coordinators, OPERATOR], gateways });
    mkdirSync(join(folder, "logs"));
    const routes = `[${servers.map((name) => `tls://${net.address(name)}:6222`).join(", ")}]`;
    for (const name of servers) {
      mkdirSync(join(folder, name));
      this.#begin(name, name, [testTool("nats-server"), "--config", join(keys, "nats.conf")], {
        NATS_NAME: name,
        NATS_LISTEN: `${net.address(name)}:4222`,
        NATS_CLUSTER: `${net.address(name)}:6222`,
        NATS_ROUTES: routes,
        NATS_STORE: join(folder, name),
        NATS_CERT: join(keys, `${name}.pem`),
        NATS_KEY: join(keys, `${name}.key`),
        NATS_CA: join(keys, "ca.pem"),
      });
    }
    const addresses = servers.map((name) => `${net.address(name)}:4222`).join(",");
    this.#operate(addresses, keys);
    const run = (command: string, id: string, more: readonly string[]) => {
      const lets = ["--id", id, "--nkey", join(keys, `${id}.nk`), "--tls-ca", join(keys, "ca.pem")];
      const door = ["--host", net.address(id), "--port", String(PORT), "--workers", "0"];
      const all = [process.execPath, builtProgram("bitswarm"), command, ...more, "--run", RUN, ...lets, ...door];
      this.#begin(id, id, all, this.#own(id), true);
    };
    for (const id of gateways) run("gateway", id, [`nats://${addresses}`, "--dir", join(folder, id)]);
    for (const id of coordinators) {
      run("start", id, [...flags, "--engine", `nats://${addresses}`, "--run-dir", `${net.disk(id)}/run`]);
      // The second begins with what the first says of the run.
      await this.leadership();
    }
    this.#crew(await Promise.all(gateways.map((id) => this.#link(id))));
  }

  #crew(links: readonly string[]): void {
    const { crews, workers, computeMs } = this.#options;
    if (crews === "scripted") {
      const script = [built("test/chaos/crew.js"), links.join(), String(workers), String(computeMs), "strangers"];
      this.#begin(CREW, CREW, [process.execPath, ...script], this.#own(CREW));
      return;
    }
    const how = ["--runtime", "deno", "--count", String(workers), "--no-tune"];
    for (const [index, link] of links.entries()) {
      const command = [process.execPath, builtProgram("worker"), "join", link, ...how];
      this.#begin(`${CREW} ${index}`, CREW, command, this.#own(CREW));
    }
  }

  #begin(name: string, machine: string, command: readonly string[], env = {}, fails = false): void {
    const { net } = this;
    const logPath = this.#log(name);
    const onFailure = (code: number | null) => {
      this.failures.push(`${name} ended with ${code}: ${lastError(logPath)}`);
    };
    this.nodes.set(name, new ClusterNode({ net, machine, command, env, logPath, ...(fails ? { onFailure } : {}) }));
  }

  #operate(addresses: string, keys: string): void {
    const log = openSync(this.#log(OPERATOR), "a");
    const script = built("test/chaos/cluster-operator.js");
    this.#operator = this.net.spawn(OPERATOR, [process.execPath, script, addresses, keys, OPERATOR, RUN], {
      stdio: ["pipe", "pipe", log],
    });
    closeSync(log);
    const { stdout } = this.#operator;
    if (stdout) createInterface({ input: stdout }).on("line", (line) => this.#answers.shift()?.(line));
  }

  #log(name: string): string {
    return join(this.#options.folder, "logs", `${name}.log`);
  }

  /** What a machine of its own has. */
  #own(id: string) {
    return { XDG_CACHE_HOME: join(this.#options.folder, "cache", id) };
  }

  async #link(id: string): Promise<string> {
    const log = this.#log(id);
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await sleep(LOOK_MS)) {
      const found = /http:\S+\?token=[\w-]+/.exec(readFileSync(log, "utf8"));
      if (found) return found[0];
    }
    throw new Error(`${id} did not serve within ${PATIENCE_MS / 1000} s: ${readFileSync(log, "utf8").slice(-2000)}`);
  }

  runDir(id: string): string {
    return this.net.outside(`${this.net.disk(id)}/run`);
  }

  node(name: string): ClusterNode {
    const node = this.nodes.get(name);
    if (!node) throw new RangeError(`${name} is none of ${[...this.nodes.keys()].join()}`);
    return node;
  }

  /** Asks the operator; tries on while the store does not answer. */
  async ask(what: string): Promise<unknown> {
    let last = "nothing";
    for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await sleep(LOOK_MS)) {
      const answered = new Promise<string>((resolve) => {
        this.#answers.push(resolve);
        this.#operator?.stdin?.write(`${what}\n`);
      });
      const line = await within(answered, PATIENCE_MS);
      if (line === undefined) break;
      const answer = JSON.parse(line) as { readonly value?: unknown; readonly error?: string };
      if (answer.error === undefined) return answer.value;
      last = answer.error;
    }
    throw new Error(`the store said ${last} to ${what} for ${PATIENCE_MS / 1000} s`);
  }

  /** Who leads; waits until somebody does. */
  async leadership(): Promise<Leadership> {
    for (;;) {
      const told = (await this.ask("look")) as Leadership;
      if (told.leader !== "" && told.server) return told;
      await sleep(LOOK_MS);
    }
  }

  /** Whether nothing is left to compute. */
  get isOver(): boolean {
    return coordinators.some((id) => this.node(id).isDone);
  }

  /** Everybody needs no time any more. */
  hurry(): void {
    if (this.#options.crews !== "scripted") return;
    for (const [name, node] of this.nodes) if (name.startsWith(CREW)) node.signal("SIGUSR2");
  }

  async close(): Promise<void> {
    this.watch.close();
    this.#operator?.kill("SIGKILL");
    await Promise.all([...this.nodes.values()].map((node) => node.kill()));
    await this.net.close();
  }
}

function lastError(log: string): string {
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  return lines.findLast((line) => /[A-Z]+_[A-Z]+/.test(line)) ?? lines.at(-1) ?? "";
}

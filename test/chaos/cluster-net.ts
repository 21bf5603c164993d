// Machines of a cluster on this one: a network namespace each, with a pair of virtual interfaces to a bridge, and a
// disk each that can be full. All of it lies in namespaces of users, networks and mounts of its own: nothing of this
// machine is changed, and whatever happens, it is gone with the processes in it.

import { type ChildProcess, execFile, type StdioOptions, spawn } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { testTool } from "../fixtures/test-tool.ts";

const execute = promisify(execFile);

/** Of each disk: the tiny run's folder several times over. */
const DISK_MIB = 48;
const FIRST_HOST = 10;
const FILLER = "filler";
const BLOCK = Buffer.alloc(64 * 1024, 1);
/** Nobody has this address: what is sent to it is lost without a word. */
const NOBODY = "02:00:00:00:00:01";

export interface SpawnIn {
  readonly stdio: StdioOptions;
  readonly env?: Readonly<Record<string, string>>;
}

export class ClusterNet {
  readonly #nodes: readonly string[];
  /** Keeps the namespaces: they end with it, and it with its standard input. */
  readonly #holder: ChildProcess;

  private constructor(nodes: readonly string[], holder: ChildProcess) {
    this.#nodes = nodes;
    this.#holder = holder;
  }

  /** @throws where this machine has not what it takes: a partition that is left out would prove nothing */
  static async open(nodes: readonly string[], disks: readonly string[]): Promise<ClusterNet> {
    testTool("ip");
    const script = [
      "set -e",
      "mount -t tmpfs none /run",
      "mkdir -p /run/netns /run/disks",
      "ip link set lo up",
      "ip link add hub type bridge",
      "ip link set hub up",
      ...nodes.flatMap((node, index) => [
        `ip netns add ${node}`,
        `ip link add v-${node} type veth peer name eth0 netns ${node}`,
        `ip link set v-${node} master hub up`,
        `ip -n ${node} addr add ${addressOf(index)}/24 dev eth0`,
        `ip -n ${node} link set lo up`,
        `ip -n ${node} link set eth0 up`,
      ]),
      ...disks.flatMap((disk) => [
        `mkdir /run/disks/${disk}`,
        `mount -t tmpfs -o size=${DISK_MIB}m none /run/disks/${disk}`,
      ]),
      "echo ready",
      "exec cat",
    ].join("\n");
    const own = ["--user", "--map-root-user", "--net", "--mount"];
    const holder = spawn("unshare", [...own, "sh", "-c", script], { stdio: ["pipe", "pipe", "pipe"] });
    let said = "";
    holder.stderr.on("data", (data) => {
      said += data;
    });
    await new Promise<void>((resolve, reject) => {
      holder.once("error", reject);
      holder.once("close", (code) => {
        const lacking = "namespaces of users and networks, which chaos cuts networks by, are not to be had here";
        reject(new Error(`${lacking} (${code}): ${said}`));
      });
      holder.stdout.once("data", () => resolve());
    });
    return new ClusterNet(nodes, holder);
  }

  address(node: string): string {
    const index = this.#nodes.indexOf(node);
    if (index < 0) throw new RangeError(`${node} is none of ${this.#nodes.join()}`);
    return addressOf(index);
  }

  /** Where a path of the namespaces is to be found from outside. */
  outside(path: string): string {
    return `/proc/${this.#holder.pid}/root${path}`;
  }

  /** A node's disk, as its processes see it. */
  disk(node: string): string {
    return `/run/disks/${node}`;
  }

  /** A process of a node: its id is the program's own, which ends with this process. */
  spawn(node: string, command: readonly string[], { stdio, env = {} }: SpawnIn): ChildProcess {
    const inside = ["nsenter", `--net=/run/netns/${node}`, "setpriv", "--pdeathsig", "KILL", ...command];
    return spawn("nsenter", [...this.#into, ...inside], { stdio, env: { ...process.env, ...env } });
  }

  get #into(): readonly string[] {
    return ["--target", String(this.#holder.pid), "--user", "--mount", "--net", "--preserve-credentials"];
  }

  async #ip(...args: readonly string[]): Promise<void> {
    await execute("nsenter", [...this.#into, "ip", ...args]);
  }

  /** Nobody reaches it and it reaches nobody, though its processes run. */
  async cutOff(node: string): Promise<void> {
    await this.#ip("link", "set", `v-${node}`, "down");
  }

  async joined(node: string): Promise<void> {
    await this.#ip("link", "set", `v-${node}`, "up");
  }

  /** Nothing comes from one side to the other. */
  async part(one: readonly string[], other: readonly string[]): Promise<void> {
    for (const [from, to] of pairs(one, other))
      await this.#ip(
        "-n",
        from,
        "neigh",
        "replace",
        this.address(to),
        "lladdr",
        NOBODY,
        "dev",
        "eth0",
        "nud",
        "permanent",
      );
  }

  async mend(one: readonly string[], other: readonly string[]): Promise<void> {
    for (const [from, to] of pairs(one, other))
      await this.#ip("-n", from, "neigh", "del", this.address(to), "dev", "eth0");
  }

  /** Not a byte more fits on a node's disk. */
  fill(node: string): void {
    const file = openSync(this.#filler(node), "a");
    try {
      for (let size = BLOCK.length; size > 0; ) {
        try {
          writeSync(file, BLOCK, 0, size);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
          size >>= 1;
        }
      }
    } finally {
      closeSync(file);
    }
  }

  /** There is room again. */
  free(node: string): void {
    rmSync(this.#filler(node), { force: true });
  }

  #filler(node: string): string {
    return this.outside(`${this.disk(node)}/${FILLER}`);
  }

  async close(): Promise<void> {
    const { exitCode, signalCode } = this.#holder;
    if (exitCode !== null || signalCode !== null) return;
    const gone = new Promise((resolve) => this.#holder.once("close", resolve));
    this.#holder.stdin?.end();
    await gone;
  }
}

function addressOf(index: number): string {
  return `10.77.0.${FIRST_HOST + index}`;
}

/** Both ways. */
function pairs(one: readonly string[], other: readonly string[]): readonly (readonly [string, string])[] {
  return one.flatMap((a) => other.flatMap((b) => [[a, b] as const, [b, a] as const]));
}

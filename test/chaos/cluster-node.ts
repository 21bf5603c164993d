// A process of a cluster on its machine: killed, stopped, started again, and kept going as systemd keeps it.

import type { ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { ClusterNet } from "./cluster-net.ts";

/** As deploy/cluster/systemd has it. */
const RESTART_MS = 2000;

export interface NodeOptions {
  readonly net: ClusterNet;
  readonly machine: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What it prints is added to. */
  readonly logPath: string;
  /** Ends with 0 when its work is done; else it is begun again. Without, it ends only when it is told. */
  readonly onFailure?: (code: number | null) => void;
}

export class ClusterNode {
  readonly #options: NodeOptions;
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  #restart: NodeJS.Timeout | undefined;
  /** It has ended by itself with 0. */
  #done = false;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.start();
  }

  get runs(): boolean {
    return this.#child !== undefined;
  }

  get isDone(): boolean {
    return this.#done;
  }

  start(): void {
    clearTimeout(this.#restart);
    if (this.#child || this.#done) return;
    const { net, machine, command, env = {}, logPath, onFailure } = this.#options;
    const log = openSync(logPath, "a");
    const child = net.spawn(machine, command, { stdio: ["ignore", log, log], env });
    closeSync(log);
    this.#child = child;
    this.#gone = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        if (this.#child === child) this.#child = undefined;
        resolve();
        if (signal !== null || !onFailure) return;
        if (code === 0) {
          this.#done = true;
          return;
        }
        onFailure(code);
        this.#restart = setTimeout(() => this.start(), RESTART_MS);
      });
    });
  }

  /** The same command once more, after it has ended. */
  again(): void {
    this.#done = false;
    this.start();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends it, and nobody begins it again; resolves when it is gone. */
  async kill(): Promise<void> {
    clearTimeout(this.#restart);
    this.#child?.kill("SIGKILL");
    await this.#gone;
    clearTimeout(this.#restart);
  }
}

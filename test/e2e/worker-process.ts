// The built program `worker` as a child process, with the processes that it starts.

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { onTestFinished } from "vitest";
import { builtProgram } from "../fixtures/programs.ts";

export class WorkerProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output = "";

  /** @param options `tune`: whether its kernels are measured first, which takes seconds and changes no bit */
  constructor(
    url: string,
    runtime: "deno" | "browser",
    options: {
      readonly count?: number;
      readonly tune?: boolean;
      readonly env?: NodeJS.ProcessEnv;
      readonly json?: boolean;
    } = {},
  ) {
    const { count = 1, tune = false, env = {}, json = false } = options;
    const flags = [
      "--runtime",
      runtime,
      "--count",
      String(count),
      ...(tune ? [] : ["--no-tune"]),
      ...(json ? ["--json"] : []),
    ];
    this.child = spawn(process.execPath, [builtProgram("worker"), "join", url, ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on("data", (data) => {
        this.output += data;
      });
    }
    this.exited = new Promise((resolve) => this.child.on("close", resolve));
    onTestFinished(async () => {
      this.child.kill("SIGTERM");
      await this.exited;
    });
  }

  /** Process ids of its children: the Deno workers. */
  children(): readonly number[] {
    const { pid } = this.child;
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  }
}

// The built program `worker` as a child process, with the processes that it starts.

import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const program = fileURLToPath(new URL("../../dist/worker/platform/node/bin.js", import.meta.url));

export class WorkerProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output = "";

  /** @param tune whether its kernels are measured first, which takes seconds and changes no bit */
  constructor(url: string, runtime: "deno" | "browser", { count = 1, tune = false } = {}) {
    const flags = ["--runtime", runtime, "--count", String(count), ...(tune ? [] : ["--no-tune"])];
    this.child = spawn(process.execPath, [program, "join", url, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
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

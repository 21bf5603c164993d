// A crew of scripted workers as a child process of a test: to be stopped, killed and replaced.

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const program = fileURLToPath(new URL("../../dist/test/chaos/crew.js", import.meta.url));

export class CrewProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;

  constructor(url: string, workers: number, computeMs: number) {
    this.child = spawn(process.execPath, [program, url, String(workers), String(computeMs)], { stdio: "ignore" });
    this.exited = new Promise((resolve) => this.child.on("close", resolve));
    onTestFinished(async () => {
      this.child.kill("SIGKILL");
      await this.exited;
    });
  }
}

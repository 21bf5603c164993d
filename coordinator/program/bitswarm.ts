#!/usr/bin/env node
// The program `bitswarm`, all that there is under one name: what the npm package installs. `join` and `doctor` are the
// worker's, `setup` is the set-up script, everything else is the coordinator's.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { failureText } from "../../shared/base/errors.ts";
import { commandText } from "../base/command-text.ts";
import { packageRoot } from "../base/package-root.ts";

function fail(error: unknown): never {
  process.stderr.write(`${failureText(error)}\n`);
  if (process.env.DEBUG === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}

/** Which program has the command of the command line. */
async function begin(command: string | undefined): Promise<void> {
  switch (command) {
    case "join":
    case "doctor": {
      const { runWorkerProgram } = await import("../../worker/platform/node/cli.ts");
      return runWorkerProgram({ name: "bitswarm", command: commandText("worker", []) });
    }
    case "setup": {
      const script = join(packageRoot(), "deploy", "setup.mjs");
      const { status } = spawnSync(process.execPath, [script, ...process.argv.slice(3)], { stdio: "inherit" });
      process.exit(status ?? 1);
      break;
    }
    default:
      await import("./cli.ts");
  }
}

// Whatever slips through: what is on the disk is whole.
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
try {
  await begin(process.argv[2]);
} catch (error) {
  fail(error);
}

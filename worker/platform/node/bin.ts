#!/usr/bin/env node
// The program `worker`, and what it says where it fails: a code, whatever it is. With few descriptors left that
// may be a file of its own that cannot be read.

import { failureText } from "../../../shared/base/errors.ts";

function fail(error: unknown): never {
  process.stderr.write(`${failureText(error)}\n`);
  if (process.env.DEBUG === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}

// Whatever slips through: what is on the disk is whole.
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
try {
  const { runWorkerProgram, workerInCheckout } = await import("./cli.ts");
  await runWorkerProgram(workerInCheckout());
} catch (error) {
  fail(error);
}

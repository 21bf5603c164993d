#!/usr/bin/env node
// Begins the program `worker`: where a file of it cannot be read, with few descriptors left above all, that is an
// error with a code as well.

import { failureText } from "../../../shared/base/errors.ts";

try {
  await import("./cli.ts");
} catch (error) {
  process.stderr.write(`${failureText(error)}\n`);
  if (process.env.DEBUG === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}

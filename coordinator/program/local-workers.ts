// The workers of this machine: one child process with the worker's program, which joins by the operator's link.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { BitswarmError } from "../../shared/base/errors.ts";
import { builtFolder } from "../base/package-root.ts";
import { appendToPlainFile } from "../disk/plain-file.ts";

export const runtimes = ["auto", "deno", "browser"] as const;
export type Runtime = (typeof runtimes)[number];

export interface LocalWorkersOptions {
  /** The operator's link. */
  readonly url: string;
  /** At least 1. */
  readonly count: number;
  readonly runtime: Runtime;
  /** `host:port` of what has the run's data beside the coordinator. */
  readonly dataHosts?: readonly string[];
  /** Everything that the workers print goes there. */
  readonly logPath: string;
  /** Called when they end before stop(), with what they said last. */
  readonly onEarlyEnd: (message: string) => void;
}

export interface LocalWorkers {
  /** Asks them to leave, and ends them where they do not. */
  stop(): Promise<void>;
}

const KILL_AFTER_MS = 5000;
const LAST_LINES = 8;

/** @throws RUNTIME_MISSING where the worker's program was not built, STORAGE_FAILED where its log is no plain file */
export function startLocalWorkers(options: LocalWorkersOptions): LocalWorkers {
  const { url, count, runtime, dataHosts = [], logPath, onEarlyEnd } = options;
  const program = join(builtFolder(), "worker", "platform", "node", "bin.js");
  if (!existsSync(program)) {
    throw new BitswarmError(
      "RUNTIME_MISSING",
      `the worker's program ${program} is not built; run \`npm run build\`, or start with --workers 0`,
    );
  }
  const log = appendToPlainFile(logPath);
  const args = ["join", "-", "--runtime", runtime, "--count", String(count), "--name", "local", "--parent-watch"];
  args.push(...dataHosts.flatMap((host) => ["--data-host", host]));
  const child = spawn(process.execPath, [program, ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    // They watch standard input and leave when this process is gone. A group of its own: Ctrl-C in the terminal is for
    // the coordinator, which finishes the step with these workers.
    detached: true,
  });
  log.on("error", () => undefined);
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      log.write(`${line}\n`);
      last.push(line);
      if (last.length > LAST_LINES) last.shift();
    });
  }
  let stopping = false;
  const ended = new Promise<void>((resolve) => {
    child.once("error", (error) => {
      onEarlyEnd(`the local workers cannot be started: ${error.message}`);
      resolve();
    });
    child.once("close", (code, signal) => {
      log.end();
      resolve();
      if (stopping || code === 0) return;
      const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
      const said = last.map((line) => `    ${line}`).join("\n");
      onEarlyEnd(
        `the local workers ended with ${how}; volunteers may still join. They said (all of it is in ${logPath}):\n${said}`,
      );
    });
  });
  // A worker that reads its standard input no more is gone: the close event says so.
  child.stdin.on("error", () => undefined);
  // The link holds the operator's token, and every user of this machine can read command lines.
  child.stdin.write(`${url}\n`);
  return {
    stop: async () => {
      stopping = true;
      // Its standard input stays open until then: a second word would cut its farewell short.
      child.kill("SIGTERM");
      const kill = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MS);
      await ended;
      clearTimeout(kill);
    },
  };
}

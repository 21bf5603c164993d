// `bitswarm simulate`: plays a scenario for one seed or many, prints what it found, and fails where an invariant
// did.

import { commandText } from "../base/command-text.ts";
import { failureText, reportText } from "./report.ts";
import { readScenario } from "./scenario.ts";
import { variedScenario } from "./varied-scenario.ts";
import { type OnStep, simulate } from "./world.ts";

export interface SimulateOptions {
  readonly seed?: number;
  readonly seeds: number;
  readonly volunteers?: number;
  readonly gateways?: number;
  readonly whole?: number;
  readonly standbys?: number;
  readonly steps?: number;
  readonly set?: readonly string[];
  /** A small world drawn from each seed, instead of a file. */
  readonly varied?: boolean;
  readonly json?: boolean;
}

export const simulateHelp = `
The coordinator's own code (rounds, ledger, sessions, frames, codecs) and the worker's own session run in virtual time; only
GPUs are replaced, by trainers whose gradients are known. Every sample that is committed is counted, and every sum compared
with what it must be. Without scenario.yaml the shipped one is played: 64 volunteers, the fastest thirty times as fast as the slowest, 2 % stalled at any time, 1 % dropping a step.

Goodput is what was committed of honest work as a share of the ideal: the samples that all honest volunteers would compute if
each worked at its own speed from its first connection until it leaves for good. Stalls, lost connections and handshakes are
not taken out of the ideal.

Examples:
  $ npx coordinator simulate
      the shipped scenario
  $ npx coordinator simulate --volunteers 1000
      the same with a thousand
  $ npx coordinator simulate --volunteers 10000 --gateways 10 --steps 5
      ten gateways between them and a leader, on a bus in memory, with the CPU of each process a step
  $ npx coordinator simulate --volunteers 100000 --gateways 100 --whole 100 --standbys 1 --steps 5
      a hundred, of which one runs whole: at the others one volunteer stands for a hundred; another coordinator follows
  $ npx coordinator simulate --varied --seeds 100
      a hundred small worlds, each drawn from its seed: faults, partitions, restarts, liars; one that fails is printed, and
      the command exits with 1
  $ npx coordinator simulate scenario.yaml --seed 17
      that history again, to the bit
  $ npx coordinator simulate --set liars.scale=0.1 --set run.codec=f32 --json
      one volunteer in ten sends gradients a thousand times too large; one JSON line a seed
`;

/** A world of thousands takes minutes: how far it has come is told so often. */
const TELL_EVERY_MS = 10_000;

function progressTo(tell: (line: string) => void): OnStep {
  let told = performance.now();
  return (step, steps) => {
    const now = performance.now();
    if (now - told < TELL_EVERY_MS) return;
    told = now;
    const { user, system } = process.cpuUsage();
    tell(`step ${step} of ${steps} is committed, after ${Math.round((user + system) / 1e6)} s of CPU`);
  };
}

/** @returns whether every seed kept every invariant */
export async function simulateCommand(
  file: string | undefined,
  options: SimulateOptions,
  print: (line: string) => void,
  tell: (line: string) => void = () => undefined,
): Promise<boolean> {
  const { seeds, json = false, set = [] } = options;
  const assignments = [...set];
  for (const field of ["volunteers", "gateways", "whole", "standbys", "steps"] as const) {
    if (options[field] !== undefined) assignments.push(`${field}=${options[field]}`);
  }
  const read = options.varied === true ? undefined : await readScenario(file, assignments);
  const first = options.seed ?? read?.seed ?? 0;
  const world = read ? (file === undefined ? [] : [file]) : ["--varied"];
  const changes = read ? assignments.flatMap((assignment) => ["--set", assignment]) : [];
  const command = commandText("coordinator", ["simulate", ...world, ...changes]);
  let ok = true;
  for (let seed = first; seed < first + seeds; seed++) {
    const report = await simulate(read ?? variedScenario(seed), seed, {}, progressTo(tell));
    print(json ? JSON.stringify(report) : reportText(report));
    if (report.ok) continue;
    ok = false;
    if (!json) print(failureText(report, command));
  }
  return ok;
}

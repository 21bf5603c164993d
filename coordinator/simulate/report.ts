// What a simulation found, for people and as JSON.

import { bytesText } from "../../shared/base/bytes-text.ts";
import type { CapacityShares } from "./account.ts";
import type { RecoverySummary } from "./recoveries.ts";
import type { Referee } from "./referee.ts";
import type { Scenario } from "./scenario.ts";
import type { AuditSummary } from "./suspects.ts";

export interface SimulationReport {
  readonly scenario: string;
  readonly seed: number;
  readonly volunteers: number;
  readonly ok: boolean;
  /** What broke, with the virtual time; empty where nothing did. */
  readonly violations: readonly string[];
  readonly steps: number;
  /** Virtual, to the last committed step. */
  readonly seconds: number;
  readonly samples: number;
  readonly samplesLost: number;
  readonly samplesDoubled: number;
  /** Committed samples whose contribution was a lie. */
  readonly samplesPoisoned: number;
  /** Honest samples committed, as a share of the ideal; 0 to 1. */
  readonly goodput: number;
  /** The same without the first steps, in which speeds are unknown. */
  readonly steadyGoodput: number;
  /** Of each step, from the commit of the step before. */
  readonly stepGoodput: readonly number[];
  /** Shares of the ideal: what became of the honest volunteers' capacity. */
  readonly capacity: {
    readonly committed: number;
    /** Computed and in no sum; of that the next four, and what liars spoiled. */
    readonly wasted: number;
    /** Answers to copies, which audits compare. */
    readonly audits: number;
    readonly repeated: number;
    readonly late: number;
    readonly lost: number;
    readonly stalled: number;
    readonly away: number;
    readonly idle: number;
  };
  /** Payloads of WebSocket messages. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Of each pass: chunks that all volunteers together downloaded, in multiples of the data set; of raw shards none. */
  readonly downloads: readonly number[];
  readonly recovery: RecoverySummary;
  readonly refusals: Readonly<Record<string, number>>;
  readonly audits: AuditSummary;
  /** The coordinator's own CPU time, measured: the only figure that a seed does not fix. */
  readonly coordinatorCpuMsPerStep: number;
  /** With gateways: the mean of those that run whole, and the busiest; the coordinator's is the leader's then. */
  readonly gatewayCpuMsPerStep: { readonly mean: number; readonly most: number } | null;
  /** Of each process of its own in the real world: the coordinator, or leader, standbys and whole gateways. */
  readonly processes: readonly ProcessLoad[];
  readonly events: number;
  /** Of the parameters after the last committed step. */
  readonly paramsHash: string;
  /** SHA-256 over every grant, answer, seal and commit with its time. */
  readonly trace: string;
}

export interface ProcessLoad {
  readonly name: string;
  readonly cpuMsPerStep: number;
  /** Of one core, where a step takes as long as it did in virtual time. */
  readonly coreShare: number;
}

/** What a process may take of a core where it shall keep up with its run beside all else: SCALE's plan. */
export const PLANNED_CORE_SHARE = 0.7;

/** What there was at a step's commit. */
export interface Mark {
  readonly shares: CapacityShares;
  /** Honest samples committed so far. */
  readonly samples: number;
  /** Chunks of the training split that volunteers have downloaded so far. */
  readonly downloads: number;
}

/** Steps after which the run counts as steady: speeds are known by then. */
const WARM_STEPS = 3;

export interface Findings {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly referee: Referee;
  readonly shares: CapacityShares;
  /** Of each committed step. */
  readonly marks: readonly Mark[];
  readonly seconds: number;
  readonly bytes: { readonly up: number; readonly down: number };
  /** Of the training split; 0 of raw shards. */
  readonly chunks: number;
  /** Steps of each pass. */
  readonly passSteps: readonly number[];
  /** Of the coordinator or, with gateways, the leader; of standbys the mean, and of each gateway that runs whole. */
  readonly cpuMs: number;
  readonly standbysCpuMs: readonly number[];
  readonly gatewaysCpuMs: ReadonlyMap<string, number>;
  readonly events: number;
}

export function reportOf(findings: Findings): SimulationReport {
  const { scenario, seed, referee, shares, marks, seconds, bytes, chunks, passSteps, cpuMs, events } = findings;
  const { committed, poisoned, audited, doubled, lost, steps } = referee.counts;
  const honest = committed - poisoned;
  const part = (samples: number) => (shares.ideal > 0 ? samples / shares.ideal : 0);
  const between = (before: Mark | undefined, after: Mark) => {
    const ideal = after.shares.ideal - (before?.shares.ideal ?? 0);
    return ideal > 0 ? (after.samples - (before?.samples ?? 0)) / ideal : 0;
  };
  const warm = marks[Math.min(WARM_STEPS, marks.length - 1) - 1];
  const last = marks.at(-1);
  return {
    scenario: scenario.name,
    seed,
    volunteers: scenario.volunteers,
    ok: referee.violations.length === 0,
    violations: referee.violations,
    steps,
    seconds,
    samples: committed,
    samplesLost: lost,
    samplesDoubled: doubled,
    samplesPoisoned: poisoned,
    goodput: part(honest),
    steadyGoodput: last ? between(warm, last) : part(honest),
    stepGoodput: marks.map((mark, i) => between(marks[i - 1], mark)),
    capacity: {
      committed: part(honest),
      wasted: Math.max(0, part(shares.computed - honest)),
      audits: part(audited),
      repeated: part(shares.repeated),
      late: part(shares.late),
      lost: part(shares.lost),
      stalled: part(shares.stalled),
      away: part(shares.away),
      idle: part(shares.idle),
    },
    downloads: chunks > 0 ? downloadsOf(marks, passSteps).map((count) => count / chunks) : [],
    bytesUp: bytes.up,
    bytesDown: bytes.down,
    recovery: referee.recoveries.summary(),
    refusals: referee.refusals,
    audits: referee.suspects.summary(),
    coordinatorCpuMsPerStep: steps > 0 ? cpuMs / steps : 0,
    ...loadsOf(findings, steps),
    events,
    paramsHash: referee.paramsHash,
    trace: referee.trace(),
  };
}

function loadsOf(
  { scenario, cpuMs, standbysCpuMs, gatewaysCpuMs, seconds }: Findings,
  steps: number,
): Pick<SimulationReport, "gatewayCpuMsPerStep" | "processes"> {
  if (steps === 0) return { gatewayCpuMsPerStep: null, processes: [] };
  const stepMs = (1000 * seconds) / steps;
  const load = (name: string, ms: number) => ({ name, cpuMsPerStep: ms / steps, coreShare: ms / steps / stepMs });
  const gateways = [...gatewaysCpuMs].map(([name, ms]) => load(name, ms));
  const each = gateways.map(({ cpuMsPerStep }) => cpuMsPerStep);
  const [mean, most] = [each.reduce((sum, ms) => sum + ms, 0) / each.length, Math.max(...each)];
  return {
    gatewayCpuMsPerStep: gateways.length > 0 ? { mean, most } : null,
    processes: [
      load(scenario.gateways > 0 ? "leader" : "coordinator", cpuMs),
      ...standbysCpuMs.map((ms) => load("a standby", ms)),
      ...gateways,
    ],
  };
}

/** Chunks that were downloaded in each pass that came to its end. */
function downloadsOf(marks: readonly Mark[], passSteps: readonly number[]): readonly number[] {
  let [end, before] = [0, 0];
  return passSteps.flatMap((steps) => {
    end += steps;
    const mark = marks[end - 1];
    if (!mark) return [];
    const count = mark.downloads - before;
    before = mark.downloads;
    return [count];
  });
}

/** Steps whose goodput is told one by one. */
const STEPS_NAMED = 12;

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const seconds = (value: number | null) => (value === null ? "none" : `${value.toFixed(1)} s`);

/** Some lines for a terminal. */
export function reportText(report: SimulationReport): string {
  const { audits, capacity, recovery, volunteers, steps } = report;
  const refusals = Object.entries(report.refusals).map(([code, count]) => `${count} ${code}`);
  const lines = [
    `${report.scenario}: ${volunteers} volunteers, ${steps} steps in ${report.seconds.toFixed(1)} virtual seconds, seed ${report.seed}`,
    `  goodput        ${percent(report.goodput)} of the ideal, ${percent(report.steadyGoodput)} after the first steps`,
    `  the rest       ${percent(capacity.idle)} idle, ${percent(capacity.wasted)} computed in vain, ${percent(capacity.stalled)} stalled, ${percent(capacity.away)} away`,
    `  in vain        ${percent(capacity.audits)} for audits, ${percent(capacity.repeated)} answered by another first, ${percent(capacity.late)} too late, ${percent(capacity.lost)} lost with who left`,
    `  by step        ${stepsText(report.stepGoodput)}`,
    `  samples        ${report.samples} committed, ${report.samplesLost} lost, ${report.samplesDoubled} doubled, ${report.samplesPoisoned} from liars`,
    `  bytes          ${bytesText(report.bytesUp)} up, ${bytesText(report.bytesDown)} down; a step and volunteer ${bytesEach(report)}`,
    ...(report.downloads.length > 0
      ? [
          `  downloads      ${report.downloads.map((times) => `×${times.toFixed(2)}`).join(", ")} of the data set, by pass`,
        ]
      : []),
    `  recovery       ${recovery.faults} faults took a lease; its samples came after ${seconds(recovery.medianSeconds)} (median), ${seconds(recovery.longestSeconds)} (longest)`,
    `  refused        ${refusals.join(", ") || "nothing"}`,
    `  audits         ${audits.audits} came to a verdict, ${audits.foundOut} against liars, ${audits.wronged} against the honest`,
    ...cpuLines(report),
    `  trace          ${report.trace}`,
  ];
  return lines.join("\n");
}

function cpuLines({ coordinatorCpuMsPerStep: first, gatewayCpuMsPerStep: gateways, ...rest }: SimulationReport) {
  const [own, ...others] = rest.processes;
  const core = (share = 0) => `${percent(share)} of a core`;
  const lines = [
    `  ${gateways ? "leader         " : "coordinator    "}${first.toFixed(1)} ms of CPU a step, ${core(own?.coreShare)}`,
  ];
  for (const { name, cpuMsPerStep, coreShare } of others)
    if (name === "a standby")
      lines.push(`  ${name.padEnd(15)}${cpuMsPerStep.toFixed(1)} ms of CPU a step, ${core(coreShare)}`);
  if (gateways === null) return lines;
  const { mean, most } = gateways;
  const busiest = Math.max(...rest.processes.map(({ coreShare }) => coreShare));
  const kept = busiest < PLANNED_CORE_SHARE ? "below" : "above";
  return [
    ...lines,
    `  a gateway      ${mean.toFixed(1)} ms of CPU a step, the busiest ${most.toFixed(1)} ms`,
    `  plan           the busiest process has ${core(busiest)} by the clock of its steps, ${kept} the ${percent(PLANNED_CORE_SHARE)} that are planned for each`,
  ];
}

function stepsText(shares: readonly number[]): string {
  const each = shares.slice(0, STEPS_NAMED).map((share) => `${Math.round(100 * share)}`);
  const rest = shares.length - STEPS_NAMED;
  return `${each.join(", ")} %${rest > 0 ? ` and ${rest} more` : ""}`;
}

function bytesEach({ bytesUp, bytesDown, steps, volunteers }: SimulationReport): string {
  const each = (bytes: number) => bytesText(bytes / Math.max(1, steps * volunteers));
  return `${each(bytesUp)} up, ${each(bytesDown)} down`;
}

/** What to say where an invariant is broken: the seed plays the same history again. */
export function failureText({ violations, seed }: SimulationReport, command: string): string {
  return [`seed ${seed} FAILED`, ...violations.map((what) => `  ${what}`), `  again: ${command} --seed ${seed}`].join(
    "\n",
  );
}

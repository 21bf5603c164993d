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
  readonly recovery: RecoverySummary;
  readonly refusals: Readonly<Record<string, number>>;
  readonly audits: AuditSummary;
  /** The coordinator's own CPU time, measured: the only figure that a seed does not fix. */
  readonly coordinatorCpuMsPerStep: number;
  readonly events: number;
  /** Of the parameters after the last committed step. */
  readonly paramsHash: string;
  /** SHA-256 over every grant, answer, seal and commit with its time. */
  readonly trace: string;
}

/** What there was at a step's commit. */
export interface Mark {
  readonly shares: CapacityShares;
  /** Honest samples committed so far. */
  readonly samples: number;
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
  readonly cpuMs: number;
  readonly events: number;
}

export function reportOf(findings: Findings): SimulationReport {
  const { scenario, seed, referee, shares, marks, seconds, bytes, cpuMs, events } = findings;
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
    bytesUp: bytes.up,
    bytesDown: bytes.down,
    recovery: referee.recoveries.summary(),
    refusals: referee.refusals,
    audits: referee.suspects.summary(),
    coordinatorCpuMsPerStep: steps > 0 ? cpuMs / steps : 0,
    events,
    paramsHash: referee.paramsHash,
    trace: referee.trace(),
  };
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
    `  recovery       ${recovery.faults} faults took a lease; its samples came after ${seconds(recovery.medianSeconds)} (median), ${seconds(recovery.longestSeconds)} (longest)`,
    `  refused        ${refusals.join(", ") || "nothing"}`,
    `  audits         ${audits.audits} came to a verdict, ${audits.foundOut} against liars, ${audits.wronged} against the honest`,
    `  coordinator    ${report.coordinatorCpuMsPerStep.toFixed(1)} ms of CPU a step`,
    `  trace          ${report.trace}`,
  ];
  return lines.join("\n");
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

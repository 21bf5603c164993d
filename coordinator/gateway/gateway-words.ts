// What a gateway tells its volunteers of the run while no leader says it.

import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { GatewayRun } from "./gateway-run.ts";

/** What is known before a leader was heard. */
export function unheardStatus({ run, config, program }: Pick<GatewayRun, "run" | "config" | "program">): RunStatus {
  return {
    run,
    name: config.name,
    state: "waiting",
    phase: "",
    step: 0,
    steps: program.steps,
    epoch: 0,
    collected: 0,
    wanted: 0,
    workers: 0,
    samples: 0,
    samplesPerSecond: 0,
    etaSeconds: null,
    reason: silentReason(Number.POSITIVE_INFINITY, false),
    loss: {},
    bytesPerWorker: null,
    loopDelayMs: null,
    batchScore: null,
    scores: {},
  };
}

/** What was heard last, while whoever led is silent. @param working somebody computes meanwhile */
export function pausedStatus(status: RunStatus, silentMs: number, working: boolean): RunStatus {
  const reason = status.state === "stopping" ? stoppedReason(silentMs) : silentReason(silentMs, working);
  return { ...status, reason, samplesPerSecond: 0, etaSeconds: null };
}

/** Whoever led said that it stops: another goes on at once, or nobody does. */
function stoppedReason(silentMs: number): string {
  return `whoever led has stopped ${Math.round(silentMs / 1000)} s ago: waits until somebody goes on with the run`;
}

/** @param working somebody computes meanwhile */
export function silentReason(silentMs: number, working: boolean): string {
  const since = Number.isFinite(silentMs) ? `, silent for ${Math.round(silentMs / 1000)} s` : "";
  const kept = working ? "; what is computed meanwhile counts" : "";
  return `a pause: waits for whoever leads the run${since}${kept}`;
}

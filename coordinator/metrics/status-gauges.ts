// What is read when somebody asks: the run's status as the terminal shows it, and how the sessions are.

import type { Gauge, Registry } from "prom-client";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { gauge, setKnown } from "./series.ts";

const states: readonly RunStatus["state"][] = ["waiting", "training", "evaluating", "stopping", "done"];

/** What is measured of one worker's session. */
export interface Vitals {
  readonly connected: boolean;
  /** Round trip in milliseconds; undefined before the first pong. */
  readonly rttMs: number | undefined;
}

export interface Surroundings {
  readonly vitals: readonly Vitals[];
  /** Of half-received contributions. */
  readonly uploadBytes: number;
  /** HTTP connections that there are. */
  readonly connections: number;
}

/** The value below which such a share of them lies. @param sorted ascending, not empty */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

/** Of what has a name each. */
function setAll(of: Gauge<string>, label: string, values: Readonly<Record<string, number>>): void {
  of.reset();
  for (const [name, value] of Object.entries(values)) of.set({ [label]: name }, value);
}

export class StatusGauges {
  readonly #state;
  readonly #step;
  readonly #steps;
  readonly #samples;
  readonly #collected;
  readonly #wanted;
  readonly #speed;
  readonly #eta;
  readonly #loss;
  readonly #score;
  readonly #sessions;
  readonly #roundTrip;
  readonly #uploads;
  readonly #connections;

  constructor(registry: Registry) {
    this.#state = gauge(registry, "run_state", "1 for what the run does, 0 for all else.", ["state"]);
    this.#step = gauge(registry, "step", "Committed steps; fewer after a resume, or where some were undone.");
    this.#steps = gauge(registry, "planned_steps", "Steps after which the run ends.");
    this.#samples = gauge(registry, "committed_samples", "Training samples in the committed steps.");
    this.#collected = gauge(registry, "round_collected_samples", "Samples of the round that have been taken in.");
    this.#wanted = gauge(registry, "round_wanted_samples", "Samples of the round.");
    this.#speed = gauge(registry, "samples_per_second", "Of the phase at hand; 0 while nobody works.");
    this.#eta = gauge(registry, "remaining_seconds", "Until the run ends, evaluations included; none while unknown.");
    this.#loss = gauge(registry, "loss", "On the last step's own samples.", ["part"]);
    this.#score = gauge(registry, "score", "Newest on the held-out samples.", ["network", "score"]);
    this.#sessions = gauge(registry, "sessions", "Workers' sessions; the lost ones may come back.", ["connection"]);
    this.#roundTrip = gauge(registry, "round_trip_seconds", "From ping to pong over all workers.", ["of"]);
    this.#uploads = gauge(registry, "upload_memory_bytes", "Of half-received contributions.");
    this.#connections = gauge(registry, "http_connections", "Open HTTP connections; WebSockets are none.");
  }

  read(status: RunStatus, { vitals, uploadBytes, connections }: Surroundings): void {
    for (const state of states) this.#state.set({ state }, state === status.state ? 1 : 0);
    this.#step.set(status.step);
    this.#steps.set(status.steps);
    this.#samples.set(status.samples);
    this.#collected.set(status.collected);
    this.#wanted.set(status.wanted);
    this.#speed.set(status.samplesPerSecond);
    setKnown(this.#eta, status.etaSeconds);
    setAll(this.#loss, "part", status.loss);
    this.#score.reset();
    for (const [network, { name, value, others = [] }] of Object.entries(status.scores))
      for (const one of [{ name, value }, ...others]) this.#score.set({ network, score: one.name }, one.value);
    const connected = vitals.reduce((sum, one) => sum + (one.connected ? 1 : 0), 0);
    this.#sessions.set({ connection: "up" }, connected);
    this.#sessions.set({ connection: "lost" }, vitals.length - connected);
    const trips = Float64Array.from(vitals.flatMap(({ rttMs }) => (rttMs === undefined ? [] : [rttMs / 1000]))).sort();
    this.#roundTrip.reset();
    if (trips.length > 0) {
      this.#roundTrip.set({ of: "median" }, quantile(trips, 0.5));
      this.#roundTrip.set({ of: "p90" }, quantile(trips, 0.9));
      this.#roundTrip.set({ of: "max" }, trips[trips.length - 1]!);
    }
    this.#uploads.set(uploadBytes);
    this.#connections.set(connections);
  }
}

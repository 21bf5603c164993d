// A run's numbers for Prometheus: what was counted, what is read now, and what this process is like.

import { Registry } from "prom-client";
import type { RunConfig } from "../../shared/run/config.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/protocol.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { packageVersion } from "../base/package-root.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { EventCounters } from "./event-counters.ts";
import { processMetrics } from "./process-metrics.ts";
import { gauge } from "./series.ts";
import { StatusGauges, type Surroundings } from "./status-gauges.ts";

export interface RunMetricsOptions {
  readonly run: string;
  readonly config: Pick<RunConfig, "name" | "method" | "objective" | "model" | "data" | "codec" | "sync">;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  readonly status: () => RunStatus;
  readonly surroundings: () => Surroundings;
}

/** The answer to a scrape. */
export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

export class RunMetrics {
  readonly #options: RunMetricsOptions;
  readonly #registry = new Registry();
  readonly #counters: EventCounters;
  readonly #gauges: StatusGauges;

  constructor(options: RunMetricsOptions) {
    this.#options = options;
    this.#tellWhat();
    this.#counters = new EventCounters(this.#registry, options.now);
    this.#gauges = new StatusGauges(this.#registry);
  }

  event(event: RunEvent): void {
    this.#counters.take(event);
  }

  async text(): Promise<MetricsText> {
    const { status, surroundings } = this.#options;
    this.#gauges.read(status(), surroundings());
    const all = Registry.merge([this.#registry, processMetrics()]);
    return { contentType: all.contentType, text: await all.metrics() };
  }

  /** What does not change, as labels of series that are always 1. */
  #tellWhat(): void {
    const { run, config } = this.#options;
    const { name, method, objective, model, data, codec, sync } = config;
    const build = { version: packageVersion(), protocol: String(PROTOCOL_VERSION) };
    const what = {
      run,
      name,
      method: method.kind,
      objective: objective.kind,
      model: model.kind,
      data: data.kind,
      codec,
      sync: sync.kind,
    };
    gauge(this.#registry, "build_info", "The coordinator's version and its protocol's.", Object.keys(build)).set(
      build,
      1,
    );
    gauge(this.#registry, "run_info", "What is trained, and how.", Object.keys(what)).set(what, 1);
  }
}

// Metrics by the conventions of Prometheus: all of ours begin with `bitswarm_`, a counter ends in `_total`, units are
// seconds and bytes.

import { Counter, Gauge, Histogram, type Registry } from "prom-client";

const prefix = "bitswarm_";

export function counter<L extends string = never>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[] = [],
): Counter<L> {
  return new Counter({ name: `${prefix}${name}_total`, help, labelNames: [...labelNames], registers: [registry] });
}

export function gauge<L extends string = never>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[] = [],
): Gauge<L> {
  return new Gauge({ name: `${prefix}${name}`, help, labelNames: [...labelNames], registers: [registry] });
}

export function histogram(registry: Registry, name: string, help: string, buckets: readonly number[]): Histogram {
  return new Histogram({ name: `${prefix}${name}`, help, buckets: [...buckets], registers: [registry] });
}

/** A gauge of what may not be known: it has no value then, and not a wrong one. */
export function setKnown(of: Gauge, value: number | null | undefined): void {
  if (value === null || value === undefined) of.remove();
  else of.set(value);
}

// Numbers of this process, which every Node program has by these names: CPU, memory, descriptors, event loop, garbage.

import { collectDefaultMetrics, Registry } from "prom-client";

/**
 * They count handles and requests that are open, and are no counters, whatever `_total` says: `promtool check metrics`
 * refuses them. To list all sockets for each scrape would cost with the volunteers, too.
 */
const misnamed = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

let known: Registry | undefined;

/** One for the process, however many runs it drives: what it watches with is begun once, at the first scrape. */
export function processMetrics(): Registry {
  if (known) return known;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamed) registry.removeSingleMetric(name);
  known = registry;
  return registry;
}

// The table of engines, one line an entry: what can drive a run's rounds.

import { BitswarmError } from "../../shared/base/errors.ts";
import { type PluginOptions, Registry } from "../../shared/base/registry.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { Engine, EnginePlugin, EngineRun } from "../engine/engine.ts";
import { localEngine } from "../engine/local/local-engine.ts";
import { natsEngine } from "../engine/nats/plugin.ts";

export const engines = new Registry<EnginePlugin>("engine", [localEngine, natsEngine]);

/** The options that a configuration gives its engine, checked. @throws CONFIG_INVALID naming what is not valid */
export function engineOptions({ engine }: Pick<RunConfig, "engine">): PluginOptions {
  const parsed = engines.get(engine.kind).schema.safeParse(engine);
  if (parsed.success) return parsed.data as PluginOptions;
  const lines = parsed.error.issues.map(({ path, message }) => `  ${["engine", ...path].join(".")}: ${message}`);
  throw new BitswarmError("CONFIG_INVALID", `The run's configuration is not valid:\n${lines.join("\n")}`);
}

/** Before anything of a run is written. @throws CONFIG_INVALID where its engine cannot drive it */
export function requireEngine(config: RunConfig): void {
  engines.get(config.engine.kind).require?.(config);
}

/** Makes the engine of a configuration ready. @throws CONFIG_INVALID, THREAD_FAILED */
export async function openEngine(config: Pick<RunConfig, "engine">, run: EngineRun): Promise<Engine> {
  return engines.get(config.engine.kind).open(engineOptions(config), run);
}

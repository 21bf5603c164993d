// From text to the plain object of a configuration: a YAML file, and `--set field=value` on top of it.

import { parse as parseYaml } from "yaml";
import { BitswarmError } from "../base/errors.ts";

/** Sets one `--set a.b.c=value` in a plain configuration object; the value is read as YAML. @throws CONFIG_INVALID */
export function setField(config: Record<string, unknown>, assignment: string): void {
  const at = assignment.indexOf("=");
  if (at < 1) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--set wants field=value, e.g. checkpoint.everySteps=4; got ${JSON.stringify(assignment)}`,
    );
  }
  const keys = assignment.slice(0, at).split(".");
  if (keys.includes("__proto__"))
    throw new BitswarmError("CONFIG_INVALID", `--set ${assignment}: there is no such field`);
  let target = config;
  for (const key of keys.slice(0, -1)) {
    const next = target[key];
    if (typeof next !== "object" || next === null || Array.isArray(next)) target[key] = {};
    target = target[key] as Record<string, unknown>;
  }
  target[keys[keys.length - 1]] = parseYaml(assignment.slice(at + 1));
}

/** The plain object of a YAML text. @throws CONFIG_INVALID */
export function readYaml(text: string, source: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseYaml(text);
  } catch (cause) {
    throw new BitswarmError("CONFIG_INVALID", `${source} is not YAML: ${(cause as Error).message}`, { cause });
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `${source}: the top level must be a map of fields; got ${JSON.stringify(value).slice(0, 80)}`,
    );
  }
  return value as Record<string, unknown>;
}

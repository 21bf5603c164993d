// What a run's events tell of it after it is over: the evaluations of a network in their order, and how long a
// coordinator was at it.

import { z } from "zod";
import { readPlainText } from "../disk/plain-file.ts";

/** Of events.ndjson: a run of days has a few MiB. */
export const MOST_EVENT_BYTES = 256 * 2 ** 20;

const line = z.looseObject({ time: z.iso.datetime(), type: z.string() });
const evaluation = z.object({ step: z.number(), network: z.string(), score: z.looseObject({ value: z.number() }) });

export interface RunLog {
  readonly evaluations: readonly { readonly step: number; readonly value: number }[];
  /** From the first event to the last, of each time that a coordinator drove it. */
  readonly seconds: number;
}

/** The value of a JSON line; nothing for one that a crash tore. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param text of events.ndjson @param network whose evaluations are meant */
export function runLog(text: string, network: string): RunLog {
  const values = new Map<number, number>();
  // What was undone or lost in a crash no longer stands, and is computed again.
  const forgetAfter = (step: unknown) => {
    for (const later of values.keys()) if (typeof step === "number" && later > step) values.delete(later);
  };
  let milliseconds = 0;
  let last: number | undefined;
  for (const each of text.split("\n")) {
    const parsed = line.safeParse(jsonOf(each));
    if (!parsed.success) continue;
    const { time, type } = parsed.data;
    const at = Date.parse(time);
    if (type === "resumed") last = undefined;
    if (last !== undefined && at > last) milliseconds += at - last;
    last = at;
    if (type === "resumed") forgetAfter(parsed.data.step);
    if (type === "undone") forgetAfter(parsed.data.to);
    const found = type === "evaluation" ? evaluation.safeParse(parsed.data) : undefined;
    if (found?.success && found.data.network === network) values.set(found.data.step, found.data.score.value);
  }
  const evaluations = [...values].map(([step, value]) => ({ step, value })).sort((a, b) => a.step - b.step);
  return { evaluations, seconds: milliseconds / 1000 };
}

/** @throws STORAGE_FAILED */
export async function readRunLog(eventsPath: string, network: string): Promise<RunLog> {
  const text = await readPlainText(eventsPath, { code: "STORAGE_FAILED", mostBytes: MOST_EVENT_BYTES });
  return runLog(text ?? "", network);
}

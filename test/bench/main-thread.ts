// What a page's main thread did, from Chromium's trace: its tasks, by the clock and by what it computed.

import { z } from "zod";

const eventSchema = z.looseObject({
  name: z.string(),
  ph: z.string(),
  pid: z.number(),
  tid: z.number(),
  /** µs: by the clock, and of the thread's own time where the system tells. */
  dur: z.number().optional(),
  tdur: z.number().optional(),
  args: z.looseObject({ name: z.unknown() }).partial().optional(),
});
const traceSchema = z.object({ traceEvents: z.array(eventSchema) });

/** The categories of a trace that tell of tasks. */
export const TASK_CATEGORIES = ["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"] as const;
/** A task that is longer keeps a visitor waiting (web.dev/articles/long-tasks-devtools). */
export const LONG_MS = 50;

export interface MainThreadTasks {
  readonly tasks: number;
  readonly longestMs: number;
  /** Of the thread's own time: others may have held the core. */
  readonly longestCpuMs: number;
  /** Longer than `LONG_MS`, by the clock and by its own time. */
  readonly long: number;
  readonly longByCpu: number;
}

/** @param trace as the devtools protocol gives it. @throws where there is no main thread, or none of its tasks */
export function mainThreadTasks(trace: unknown): MainThreadTasks {
  const { traceEvents: events } = traceSchema.parse(trace);
  const threadOf = ({ pid, tid }: { readonly pid: number; readonly tid: number }) => `${pid} ${tid}`;
  const main = new Set(
    events.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain").map(threadOf),
  );
  const byThread = new Map<string, { readonly ms: number; readonly cpuMs: number }[]>();
  for (const event of events) {
    if (event.name !== "RunTask" || event.ph !== "X" || event.dur === undefined || !main.has(threadOf(event))) continue;
    const tasks = byThread.get(threadOf(event)) ?? [];
    tasks.push({ ms: event.dur / 1000, cpuMs: (event.tdur ?? event.dur) / 1000 });
    byThread.set(threadOf(event), tasks);
  }
  // A browser keeps a process without a page ready.
  const busiest = [...byThread.values()].sort((a, b) => b.length - a.length)[0];
  if (!busiest) throw new Error("the trace has no task of a page's main thread");
  return {
    tasks: busiest.length,
    longestMs: Math.max(...busiest.map(({ ms }) => ms)),
    longestCpuMs: Math.max(...busiest.map(({ cpuMs }) => cpuMs)),
    long: busiest.filter(({ ms }) => ms > LONG_MS).length,
    longByCpu: busiest.filter(({ cpuMs }) => cpuMs > LONG_MS).length,
  };
}

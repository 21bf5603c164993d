// What the page's bench reads off a trace.

import { expect, test } from "vitest";
import { mainThreadTasks } from "./main-thread.ts";

const thread = (pid: number, name: string) => ({ name: "thread_name", ph: "M", pid, tid: 1, args: { name } });
const task = (pid: number, dur: number, tdur?: number) => ({
  name: "RunTask",
  ph: "X",
  pid,
  tid: 1,
  dur,
  ...(tdur === undefined ? {} : { tdur }),
});

test("the busiest main thread's tasks count, by the clock and by its own time, and nobody else's", () => {
  const traceEvents = [
    thread(1, "CrRendererMain"),
    thread(2, "CrRendererMain"),
    thread(3, "CrGpuMain"),
    task(1, 70_000, 12_000),
    task(1, 51_000, 50_500),
    task(1, 1000),
    task(2, 900_000, 900_000),
    task(3, 800_000, 800_000),
    { ...task(1, 700_000), name: "FunctionCall" },
  ];
  expect(mainThreadTasks({ traceEvents })).toEqual({
    tasks: 3,
    longestMs: 70,
    longestCpuMs: 50.5,
    long: 2,
    longByCpu: 1,
  });
  expect(() => mainThreadTasks({ traceEvents: [thread(1, "CrRendererMain")] })).toThrow("no task");
});

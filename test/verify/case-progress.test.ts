// What is told of a verification while it runs.

import { afterEach, expect, test, vi } from "vitest";
import { CaseProgress, PROGRESS_EVERY_MS } from "./case-progress.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("a line every few seconds says which runtime is at which case, and none comes after the end", () => {
  vi.useFakeTimers();
  const lines: string[] = [];
  const progress = new CaseProgress("deno", 2, (line) => lines.push(line));
  vi.advanceTimersByTime(PROGRESS_EVERY_MS);
  for (const file of ["a.safetensors", "a.safetensors", "b.safetensors"]) progress.reported(file);
  expect(lines).toEqual(["deno: case 0 of 2, starting"]);
  vi.advanceTimersByTime(PROGRESS_EVERY_MS);
  expect(lines[1]).toBe("deno: case 2 of 2, 3 reports, the last of b.safetensors");
  progress.stop();
  vi.advanceTimersByTime(10 * PROGRESS_EVERY_MS);
  expect(lines).toHaveLength(2);
});

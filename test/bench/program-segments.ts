// An exported network's program in parts that can be timed one by one.

import { lastReads, type Program } from "../../worker/inference/program/program.ts";

export interface Segment {
  /** The convolution in it, or the one before it. */
  readonly name: string;
  readonly program: Program;
}

/** A program cut wherever all that is read later is one map. */
export function segmentsOf(program: Program): readonly Segment[] {
  const { values, steps } = program;
  const last = lastReads(program);
  const segments: Segment[] = [];
  const there = new Set([program.input]);
  let [from, input, name] = [0, program.input, "input"];
  for (const [at, step] of steps.entries()) {
    there.add(step.output);
    if ("name" in step) name = step.name;
    const live = [...there].filter((id) => last[id] > at);
    const [output] = live;
    if (live.length !== 1 || values[output].kind !== "map") continue;
    segments.push({ name, program: { ...program, input, steps: steps.slice(from, at + 1), output } });
    [from, input] = [at + 1, output];
  }
  return segments;
}

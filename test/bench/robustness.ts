// `bench robustness`: what Chromium's bounds checks in shaders cost here. Headless workers of our own may go without
// them.

import type { Emit, KernelLine, Line, StepLine } from "./line.ts";
import type { BenchmarkRequest } from "./request.ts";
import { benchInBrowser } from "./runtimes.ts";
import { median, pairedRatio, rounded } from "./statistics.ts";

const FLAG = "--enable-dawn-features=disable_robustness";

/** Launches of a browser with and without the flag. */
const PAIRS = 2;

type TimedLine = KernelLine | StepLine;

/** Milliseconds by case, of one browser. */
async function launch(
  requests: readonly BenchmarkRequest[],
  flags: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const take = async (line: Line) => {
    if (line.record !== "kernel" && line.record !== "step") return;
    const timed: TimedLine = line;
    const name = timed.record === "kernel" ? `${timed.name} ${timed.tiling}` : timed.name;
    if (timed.ms > 0) found.set(name, timed.ms);
  };
  for (const request of requests) await benchInBrowser(request, take, flags);
  return found;
}

/** What is run where no words choose. */
const DEFAULT_WORDS = { kernels: ["cifar 64-64"], step: ["student"] } as const;

/** Words choose among the cases of `kernels` and `step` alike. */
export async function benchRobustness(request: BenchmarkRequest, emit: Emit): Promise<void> {
  const requests = (["kernels", "step"] as const).map((benchmark) => {
    const filter = request.filter.length > 0 ? request.filter : [...DEFAULT_WORDS[benchmark]];
    return { ...request, benchmark, filter };
  });
  const text = `${PAIRS} pairs of Chromium without and with ${FLAG}, in turns; the ratio is the median of the pairs`;
  await emit({ record: "policy", text });
  const checked: ReadonlyMap<string, number>[] = [];
  const unchecked: ReadonlyMap<string, number>[] = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    checked.push(await launch(requests, []));
    unchecked.push(await launch(requests, [FLAG]));
  }
  const ratios: number[] = [];
  for (const name of checked[0].keys()) {
    const ms = (of: readonly ReadonlyMap<string, number>[]) => of.flatMap((each) => each.get(name) ?? []);
    const [slow, fast] = [ms(checked), ms(unchecked)];
    if (slow.length < PAIRS || fast.length < PAIRS) continue;
    ratios.push(pairedRatio(slow, fast));
    await emit({ record: "ratio", name, of: "with bounds checks", ratio: rounded(ratios[ratios.length - 1], 3) });
  }
  if (ratios.length > 0) {
    await emit({ record: "ratio", name: "median of all", of: "with bounds checks", ratio: rounded(median(ratios), 3) });
  }
}

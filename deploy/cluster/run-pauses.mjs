// Who led a run and how long its longest pauses were, from the histories and events of all its coordinators. Shares no
// code with what wrote them.

/** @typedef {import("./run-pauses.d.mts").Pause} Pause */
/** @typedef {import("./run-pauses.d.mts").Led} Led */
/** @typedef {import("./run-pauses.d.mts").Told} Told */

/** As many pauses are told. */
const MOST_PAUSES = 5;

/** Whole lines: whoever was killed left the last unfinished. @param {string} text @returns {any[]} */
function linesOf(text) {
  return text
    .split("\n")
    .slice(0, -1)
    .flatMap((line) => {
      try {
        return [JSON.parse(line)];
      } catch {
        // What a full disk cut off; the chain of commits is another file's, and is checked there.
        return [];
      }
    });
}

/**
 * The longest times between a step and the next, the longest first: each step counts from when any coordinator had it.
 * Clocks of machines that differ by a second make a pause differ by as much.
 * @param {readonly Told[]} told @returns {readonly Pause[]}
 */
export function longestPauses(told) {
  /** @type {Map<number, number>} */
  const first = new Map();
  for (const { history } of told) {
    for (const line of linesOf(history)) {
      if (!Array.isArray(line) || line[0] !== 0) continue;
      const [, step, time] = line;
      first.set(step, Math.min(time, first.get(step) ?? Number.POSITIVE_INFINITY));
    }
  }
  const steps = [...first].sort(([a], [b]) => a - b);
  /** @type {Pause[]} */
  const pauses = [];
  for (let i = 1; i < steps.length; i++) {
    const [[from, begun], [step, ended]] = [steps[i - 1], steps[i]];
    if (step === from + 1) pauses.push({ step, ms: Math.max(0, ended - begun) });
  }
  return pauses.sort((a, b) => b.ms - a.ms).slice(0, MOST_PAUSES);
}

/** Who led, in order, as they said it. @param {readonly Told[]} told @returns {readonly Led[]} */
export function whoLed(told) {
  return told
    .flatMap(({ events }) => linesOf(events).filter(({ type }) => type === "leads"))
    .map(({ id, epoch, step }) => ({ id, epoch, step }))
    .sort((a, b) => a.epoch - b.epoch);
}

/** What is wrong with who led: a fence that two had fences nobody. @param {readonly Led[]} led */
export function leadProblems(led) {
  return led.flatMap(({ id, epoch }, index) => {
    const before = led[index - 1];
    return before?.epoch === epoch ? [`${before.id} and ${id} both led with epoch ${epoch}`] : [];
  });
}

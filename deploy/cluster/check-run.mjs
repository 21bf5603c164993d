#!/usr/bin/env node
// Reads what all coordinators of a run wrote, and shares no code with them; `--help` says what it checks, and what it
// cannot.   node deploy/cluster/check-run.mjs RUN_DIR…        ends with 1 where anything is wrong

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { leadProblems, longestPauses, whoLed } from "./run-pauses.mjs";
import { checkpointProblems, completeBatch, evaluationProblems, sumProblems } from "./run-state.mjs";

/** @typedef {import("./check-run.d.mts").RunCheck} RunCheck */
/** @typedef {import("./check-run.d.mts").LogCheck} LogCheck */
/** @typedef {import("./run-state.d.mts").LogLine} Line */

const before = createHash("sha256").update("bitswarm commit log 2").digest("hex");

/** The lines whose chain holds, and what is wrong with the rest. @param {string} text @param {string} name */
function readLog(text, name) {
  const problems = [];
  /** @type {Line[]} */
  const lines = [];
  let [head, fence] = [before, 0];
  // What a process that was killed left unfinished ends without a newline, and was never committed by it.
  for (const [index, line] of text.split("\n").slice(0, -1).entries()) {
    /** @type {Line} */
    let record;
    try {
      record = JSON.parse(line);
    } catch {
      problems.push(`${name}, line ${index + 1}: it is no JSON, and nothing after it is read`);
      break;
    }
    const { h, ...hashed } = record;
    const right = createHash("sha256").update(head).update(JSON.stringify(hashed)).digest("hex");
    if (h !== right) problems.push(`${name}, line ${index + 1}: its hash is not over the line before`);
    if (record.fence < fence) problems.push(`${name}, line ${index + 1}: writer ${record.fence} after writer ${fence}`);
    [head, fence] = [h, record.fence];
    lines.push(record);
  }
  return { lines, problems };
}

/** Steps that stand: those after a `resume` in place of those it left. @param {readonly Line[]} lines */
function standing(lines) {
  /** @type {Line[]} */
  let steps = [];
  for (const record of lines) {
    if (record.type === "step") steps.push(record);
    else if (record.type === "resume" || record.type === "repair")
      steps = steps.filter(({ step }) => step <= record.fromStep);
  }
  return steps;
}

/**
 * What steps cover. @param {readonly Line[]} steps @param {string} name
 * @param {number} before steps of which a repaired log tells nothing
 * @param {number | undefined} batch of a run whose steps leave nothing to the next
 */
function coverProblems(steps, name, before, batch) {
  const problems = [];
  /** @type {Map<number, [number, number][]>} */
  const passes = new Map();
  /** @type {Map<string, number>} */
  const ends = new Map();
  steps.forEach(({ step, pass, ranges, samples }, index) => {
    if (step !== before + index + 1)
      problems.push(`${name}: step ${step} stands where step ${before + index + 1} is due`);
    const size = ranges.reduce((sum, [from, to]) => sum + to - from, 0);
    if (size !== samples) problems.push(`${name}: step ${step} tells of ${samples} samples and names ${size}`);
    const done = passes.get(pass) ?? [];
    if (batch !== undefined && before === 0) {
      // Nothing is carried: a step is the next samples of its pass, all of them, and only the last of a pass is shorter.
      const begin = done.reduce((end, [, to]) => Math.max(end, to), 0);
      const last = steps[index + 1]?.pass !== pass;
      const whole = size === batch || (last && size < batch);
      const [from, to] = [Math.min(...ranges.map(([at]) => at)), Math.max(...ranges.map(([, at]) => at))];
      if (!whole || from !== begin || to !== begin + size)
        problems.push(
          `${name}: step ${step} is of [${from}, ${to}), ${size} samples, where ${batch} from ${begin} on are due`,
        );
    }
    passes.set(pass, [...done, ...ranges]);
  });
  const last = Math.max(-1, ...passes.keys());
  for (const [pass, ranges] of passes) {
    let end = 0;
    for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
      if (from < end) problems.push(`${name}: samples [${from}, ${Math.min(end, to)}) of pass ${pass} are in twice`);
      // Of the pass at hand what comes later is still due.
      if (from > end && pass < last) problems.push(`${name}: samples [${end}, ${from}) of pass ${pass} are missing`);
      end = Math.max(end, to);
    }
    // Passes of one phase that are over are equally long.
    const { phase = "" } = steps.find((step) => step.pass === pass) ?? {};
    const other = ends.get(phase) ?? end;
    if (pass < last && before === 0 && end !== other)
      problems.push(`${name}: pass ${pass} (${phase}) ends with sample ${end}, and others of its phase with ${other}`);
    if (pass < last) ends.set(phase, other);
  }
  return problems;
}

/**
 * @param {readonly { readonly name: string, readonly text: string }[]} logs
 * @param {number} [batch] samples of each step, where a step leaves nothing to the next @returns {LogCheck}
 */
export function checkLogs(logs, batch) {
  const read = logs.map(({ name, text }) => ({ name, ...readLog(text, name) }));
  const problems = read.flatMap((log) => log.problems);
  const longest = read.reduce((a, b) => (b.lines.length > a.lines.length ? b : a));
  for (const { name, lines } of read) {
    const other = lines.findIndex(({ h }, index) => h !== longest.lines[index].h);
    if (other >= 0) problems.push(`${name}, line ${other + 1}: another history than that of ${longest.name}`);
  }
  const steps = standing(longest.lines);
  // A repaired log tells nothing of what was before.
  const repair = longest.lines.findLast(({ type }) => type === "repair");
  const before = repair ? Math.min(repair.fromStep, (steps[0]?.step ?? 1) - 1) : 0;
  problems.push(...coverProblems(steps, longest.name, before, batch));
  return {
    problems,
    steps: steps.length,
    samples: steps.reduce((sum, { samples }) => sum + samples, 0),
    leaders: [...new Set(longest.lines.map(({ fence }) => fence))],
    paramsHashes: steps.map(({ paramsHash }) => paramsHash),
  };
}

/** @param {readonly string[]} folders @returns {RunCheck} */
export function checkRun(folders) {
  const logs = folders.flatMap((folder) => {
    const file = path.join(folder, "commits.ndjson");
    return fs.existsSync(file) ? [{ name: folder, text: fs.readFileSync(file, "utf8") }] : [];
  });
  if (logs.length === 0) throw new Error(`there is no commits.ndjson in ${folders.join(", ")}`);
  /** @param {string} file */
  const textOf = (file) => (fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  const told = folders.map((folder) => ({
    history: textOf(path.join(folder, "history.ndjson")),
    events: textOf(path.join(folder, "events.ndjson")),
  }));
  const checked = checkLogs(logs, completeBatch(folders[0]));
  const led = whoLed(told);
  const runs = logs.map(({ name, text }) => {
    const { lines } = readLog(text, name);
    return { name, lines, standing: standing(lines), history: textOf(path.join(name, "history.ndjson")) };
  });
  const sums = sumProblems(runs);
  const checkpoints = runs.map((run) => checkpointProblems(run.name, run.standing));
  const beside = [
    ...leadProblems(led),
    ...sums.problems,
    ...evaluationProblems(runs),
    ...checkpoints.flatMap(({ problems }) => problems),
  ];
  return {
    ...checked,
    problems: [...checked.problems, ...beside],
    led,
    pauses: longestPauses(told),
    sums: sums.compared,
    checkpoints: checkpoints.reduce((sum, one) => sum + one.checkpoints, 0),
  };
}

const help = `node deploy/cluster/check-run.mjs RUN_DIR…

Give it the folder of every coordinator of one run, while nobody writes to them. Checked are:
  chains      each line of each commits.ndjson is hashed over the line before; no writer follows a newer one; of any two
              logs one begins with all of the other
  covers      steps in order, each of as many samples as it says; no sample of a pass twice, none missing before a later
              one, passes of a phase equally long. Where sums are exact, and a checkpoint says so, each step is of
              exactly the next samples of its pass: as many as a batch, each once
  leaders     whoever led did so with an epoch above that of the one before, and the longest pauses between steps
  sums        each coordinator applied a step's sum on its own: losses, score, rates, and what is told of layers, are
              the same in every history.ndjson
  evaluations of the step that stands, with the value that the history has
  checkpoints each file of the bytes that its manifest names, parameters of the hash that the log has after that step

Not checked: that a sum is right (gradients are not kept; audits and a second run with exact sums show that), who
computed which sample, which samples are due at the end of the pass at hand, what lies before a repaired log's repair,
and parameters themselves against their hash (\`bitswarm resume\` does that).
`;

function main() {
  const folders = process.argv.slice(2);
  if (folders.length === 0 || folders.some((one) => one === "--help" || one === "-h")) {
    console.log(help);
    process.exitCode = folders.length === 0 ? 1 : 0;
    return;
  }
  const { problems, steps, samples, leaders, paramsHashes, led, pauses, sums, checkpoints } = checkRun(folders);
  console.log(
    `${steps} steps of ${samples} samples, by leaders ${leaders.join(", ")}; ${paramsHashes.at(-1) ?? "none"}`,
  );
  for (const { id, epoch, step } of led) console.log(`${id} led from step ${step + 1} on, with epoch ${epoch}`);
  const longest = pauses.map(({ step, ms }) => `${(ms / 1000).toFixed(1)} s before step ${step}`);
  if (longest.length > 0) console.log(`longest pauses: ${longest.join(", ")}`);
  console.log(`${sums} sums compared between coordinators, ${checkpoints} checkpoints whole or named below`);
  for (const problem of problems) console.log(`WRONG: ${problem}`);
  console.log(
    problems.length === 0 ? "0 missing, 0 doubled, every chain whole, one history" : `${problems.length} wrong`,
  );
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main();

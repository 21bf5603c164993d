// What a run's coordinators say of it beside their logs, held against those: what each made of every sum, what was
// evaluated, and the checkpoints that it keeps. Reads files alone, and shares no code with what wrote them.

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

/** @typedef {import("./run-state.d.mts").LogLine} LogLine */
/** @typedef {import("./run-state.d.mts").ToldRun} ToldRun */

/** Columns of history.ndjson that follow from a step's sum and the parameters before it, wherever they are computed. */
const ofSums = /^(loss\.|rate\.|score$|samples$)|\//;

/**
 * By step, the numbers of its rows by their columns; of a step that was made again those that were written last.
 * @param {string} text of history.ndjson
 */
export function readHistory(text) {
  /** @type {Map<number, Map<string, number | null>>} */
  const steps = new Map();
  /** @type {Map<string, number>} */
  const evaluations = new Map();
  /** @type {string[][]} */
  const columns = [[], []];
  for (const line of text.split("\n").slice(0, -1)) {
    const told = JSON.parse(line);
    if (Array.isArray(told)) {
      const [table, step, , ...values] = told;
      const row = steps.get(step) ?? new Map();
      steps.set(step, row);
      for (const [at, name] of columns[table].entries()) row.set(name, values[at] ?? null);
    } else if (told.table) columns[told.table === "steps" ? 0 : 1] = told.columns;
    else if (told.evaluation)
      evaluations.set(`${told.evaluation.network} ${told.evaluation.step}`, told.evaluation.value);
  }
  return { steps, evaluations };
}

/**
 * Of each step that stands in several coordinators' logs: whether all of them made the same of its sum.
 * @param {readonly ToldRun[]} runs
 */
export function sumProblems(runs) {
  const problems = [];
  const told = runs.map(({ name, standing, history }) => ({ name, standing, ...readHistory(history) }));
  let compared = 0;
  for (const [index, one] of told.entries()) {
    const stands = new Map(one.standing.map((line) => [line.step, line.h]));
    for (const other of told.slice(index + 1)) {
      for (const { step, h } of other.standing) {
        const [mine, theirs] = [one.steps.get(step), other.steps.get(step)];
        if (stands.get(step) !== h || !mine || !theirs) continue;
        compared++;
        const names = [...mine.keys()].filter((name) => ofSums.test(name) && theirs.has(name));
        const differ = names.filter((name) => mine.get(name) !== theirs.get(name));
        if (differ.length > 0)
          problems.push(`step ${step}: ${one.name} and ${other.name} made other ${differ.join(", ")} of its sum`);
      }
    }
  }
  return { problems, compared };
}

/**
 * Evaluations in the logs, each of the step that stands there, and of the value that its history has.
 * @param {readonly ToldRun[]} runs
 */
export function evaluationProblems(runs) {
  return runs.flatMap(({ name, lines, history }) => {
    const { evaluations } = readHistory(history);
    const problems = [];
    let step = 0;
    for (const line of lines) {
      if (line.type === "step") step = line.step;
      else if (line.type === "resume" || line.type === "repair") step = line.fromStep;
      else {
        if (line.step !== step) problems.push(`${name}: step ${line.step} is evaluated where step ${step} stands`);
        const told = evaluations.get(`${line.network} ${line.step}`);
        if (told !== undefined && told !== line.value)
          problems.push(
            `${name}: ${line.network} has ${line.value} after step ${line.step}, and ${told} in its history`,
          );
      }
    }
    return problems;
  });
}

/**
 * Checkpoints of a folder: bytes of each file as their manifest names them, parameters as the log has them after that
 * step, samples as the log adds them up.
 * @param {string} folder @param {readonly LogLine[]} standing
 */
export function checkpointProblems(folder, standing) {
  const problems = [];
  const root = path.join(folder, "checkpoints");
  const names = fs.existsSync(root) ? fs.readdirSync(root).filter((name) => /^step-\d+$/.test(name)) : [];
  for (const name of names) {
    const at = path.join(root, name);
    const manifest = JSON.parse(fs.readFileSync(path.join(at, "manifest.json"), "utf8"));
    for (const [file, { bytes, sha256 }] of Object.entries(manifest.files)) {
      const found = fs.readFileSync(path.join(at, file));
      if (found.length !== bytes || createHash("sha256").update(found).digest("hex") !== sha256)
        problems.push(`${at}/${file}: other bytes than its manifest says`);
    }
    const { step, paramsHash } = manifest;
    const line = standing.find((one) => one.step === step);
    if (step > 0 && !line) problems.push(`${at}: step ${step} does not stand in the log`);
    else if (line && !Object.values(paramsHash).includes(line.paramsHash))
      problems.push(`${at}: other parameters than were committed with step ${step}`);
  }
  return { problems, checkpoints: names.length };
}

/**
 * Samples of a step that a run of complete sums makes, if its newest checkpoint says that it is one: nothing of a step
 * is carried into the next then. @param {string} folder
 */
export function completeBatch(folder) {
  const root = path.join(folder, "checkpoints");
  const [name] = fs.existsSync(root) ? fs.readdirSync(root).filter((one) => /^step-\d+$/.test(one)) : [];
  if (name === undefined) return undefined;
  const { config } = JSON.parse(fs.readFileSync(path.join(root, name, "manifest.json"), "utf8"));
  const { batch, codec, lease } = config;
  const complete = lease.seal === "complete" || (lease.seal === "auto" && codec === "exact");
  return complete ? batch : undefined;
}

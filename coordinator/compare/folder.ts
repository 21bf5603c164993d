// The folder of a comparison: plan.json, a run's folder for each cell, the teacher's file, and the reports. One process
// at a time drives it.

import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { changedFields, type FieldChange, resumableOf } from "../../shared/run/resumable.ts";
import { commandText } from "../base/command-text.ts";
import { type Claim, claimFolder, isClaim } from "../disk/claim.ts";
import { makeFolders, writeDurably } from "../disk/durable-file.ts";
import { readPlainText } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { isRunDirectory } from "../run/run-directory.ts";
import { readCellResult } from "./cell-result.ts";
import { type Grid, TEACHER_CELL } from "./cells.ts";

const PLAN_RECORD = "plan.json";
const PLAN_FORMAT = 1;
const CELLS = "cells";
const TEACHERS = "teachers";
const REPLACED = "replaced";
/** Of plan.json: a few KiB a cell. */
const MOST_RECORD_BYTES = 64 * 2 ** 20;

const recordSchema = z.strictObject({
  format: z.literal(PLAN_FORMAT),
  name: z.string(),
  /** By cell, the teacher's run among them: the configuration that it was begun with. */
  cells: z.record(z.string(), z.unknown()),
});

type PlanRecord = z.output<typeof recordSchema>;

export interface CompareFolder {
  readonly path: string;
  readonly claim: Claim;
}

export function cellFolder(path: string, cell: string): string {
  return join(path, CELLS, cell);
}

/** A teacher's file by the SHA-256 of its bytes. */
export function teacherPath(path: string, sha256: string): string {
  return join(path, TEACHERS, `${sha256}.safetensors`);
}

/** Makes the folder where there is none, and claims it. @throws RUN_IN_USE, RUN_EXISTS, STORAGE_FAILED */
export async function openCompareFolder(out: string): Promise<CompareFolder> {
  const path = resolve(out);
  await makeFolders(path).catch((error) => {
    throw storageError(error, path, "Name another --out");
  });
  const claimed = await claimFolder(path).catch((error) => {
    throw storageError(error, path, "Name another --out");
  });
  if (claimed.kind === "held") {
    const { pid, host } = claimed.by;
    throw new BitswarmError(
      "RUN_IN_USE",
      `the comparison in ${path} is driven already, by process ${pid} on ${host}. It goes on untouched: stop that process first (Ctrl-C there, or \`kill ${pid}\`), or name another --out`,
    );
  }
  const { claim } = claimed;
  try {
    const names = (await readdir(path)).filter((name) => !isClaim(name));
    if (names.length > 0 && !names.includes(PLAN_RECORD)) {
      throw new BitswarmError(
        "RUN_EXISTS",
        `${path} is not empty, and holds no comparison (no ${PLAN_RECORD}): name another --out`,
      );
    }
    for (const folder of [CELLS, TEACHERS]) await mkdir(join(path, folder), { recursive: true });
    return { path, claim };
  } catch (error) {
    await claim.release();
    throw error instanceof BitswarmError ? error : storageError(error, path, "Name another --out");
  }
}

async function readRecord(path: string): Promise<PlanRecord | undefined> {
  const file = join(path, PLAN_RECORD);
  const text = await readPlainText(file, { code: "STORAGE_FAILED", mostBytes: MOST_RECORD_BYTES });
  if (text === undefined) return undefined;
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new BitswarmError("STORAGE_FAILED", `${file} is not as it was written: name another --out`, { cause });
  }
}

/** Where files lie, and what changes nothing of what is trained. */
function matters({ field }: FieldChange): boolean {
  const kind = resumableOf(field)?.kind;
  return kind !== "free" && kind !== "place";
}

/** Whether two configurations train the same; a field that is newer than the first has its default there. */
function differences(before: unknown, now: RunConfig): readonly FieldChange[] {
  return changedFields(parseConfig(before), now).filter(matters);
}

/**
 * A run of the plan may have been resumed by hand, to be longer than the plan says: then it is no cell of it any more.
 * @throws CONFIG_INVALID naming the field
 */
export function requireAsPlanned(folder: string, config: RunConfig, planned: RunConfig): void {
  const longer = changedFields(config, planned).find(({ field }) => resumableOf(field)?.kind === "upwards");
  if (!longer) return;
  const { field, from, to } = longer;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `the run in ${folder} was resumed with ${field} ${shown(from)}, and the plan says ${shown(to)}: remove that folder, and it is made anew, or name another --out`,
  );
}

const shown = (value: unknown) => (value === undefined ? "not given" : JSON.stringify(value));

/** The plan's runs by the names of their folders. */
function configsOf({
  teacher,
  cells,
}: Grid): ReadonlyMap<string, { readonly config: RunConfig; readonly taught: boolean }> {
  const own = cells.map(({ name, config, taught }) => [name, { config, taught }] as const);
  return new Map(teacher ? [[TEACHER_CELL, { config: teacher, taught: false }], ...own] : own);
}

/** Runs of a plan that were begun with another configuration, and in which fields that differs. */
async function changedCells(path: string, grid: Grid, record: PlanRecord): Promise<ReadonlyMap<string, string>> {
  const changed = new Map<string, string>();
  for (const [name, { config, taught }] of configsOf(grid)) {
    const folder = cellFolder(path, name);
    // What was taken over from another run has its result alone.
    if (!(await isRunDirectory(folder)) && !(await readCellResult(folder))) continue;
    if (!Object.hasOwn(record.cells, name)) continue;
    const fields = differences(record.cells[name], config);
    if (fields.length > 0) {
      const list = fields.map(({ field, from, to }) => `${field} ${shown(from)} is now ${shown(to)}`);
      changed.set(name, list.join(", "));
    } else if (taught && changed.has(TEACHER_CELL)) changed.set(name, "its teacher is another");
  }
  return changed;
}

/** Lines of a list of changes that a message has. */
const LISTED = 12;

/**
 * Writes down what the folder's runs are begun with, so that a plan that changed is seen. New cells are added; those
 * that the plan no longer has stay where they are.
 * @param force sets changed runs aside, to be made anew
 * @returns the runs that were set aside
 * @throws CONFIG_INVALID naming the runs that another configuration began, STORAGE_FAILED
 */
export async function settlePlan(path: string, grid: Grid, force: boolean): Promise<readonly string[]> {
  const before = await readRecord(path);
  const changed = before ? await changedCells(path, grid, before) : new Map<string, string>();
  if (changed.size > 0 && !force) {
    const lines = [...changed].map(([name, what]) => `  ${name}: ${what}`);
    const more = lines.length > LISTED ? [`  and ${lines.length - LISTED} more`] : [];
    throw new BitswarmError(
      "CONFIG_INVALID",
      [
        `the plan asks for other runs than those in ${path}:`,
        ...lines.slice(0, LISTED),
        ...more,
        "Give the plan as it was, or name another --out; with --force they are set aside and made anew",
      ].join("\n"),
    );
  }
  try {
    const at = new Date().toISOString().replace(/[:.]/g, "-");
    for (const name of changed.keys()) {
      await makeFolders(join(path, REPLACED));
      await rename(cellFolder(path, name), join(path, REPLACED, `${name}-${at}`));
    }
    const begun = Object.fromEntries([...configsOf(grid)].map(([name, { config }]) => [name, config]));
    const record: PlanRecord = {
      format: PLAN_FORMAT,
      name: grid.plan.name,
      cells: { ...before?.cells, ...begun },
    };
    await writeDurably(join(path, PLAN_RECORD), `${JSON.stringify(record, null, 1)}\n`);
  } catch (error) {
    throw storageError(error, path);
  }
  return [...changed.keys()];
}

/** What goes on with the comparison. */
export function againCommand(plan: string, path: string): string {
  return commandText("coordinator", ["compare", plan, "--out", path]);
}

/** A file's bytes, or undefined where there is none. */
export async function bytesAt(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw storageError(error, path, undefined, "read");
  });
}

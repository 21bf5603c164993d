// The teacher that a plan's methods share: trained once, kept as a file by the hash of its bytes.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { phasesOf } from "../../shared/run/program.ts";
import { changedFields } from "../../shared/run/resumable.ts";
import { networkFile, teachingNetwork, writeNetworkFile } from "../checkpoint/export-network.ts";
import { contentHash } from "../disk/content-hash.ts";
import { type CellResult, readCellResult } from "./cell-result.ts";
import { type Cell, TEACHER_CELL } from "./cells.ts";
import type { SharedTeacher } from "./comparison.ts";
import { bytesAt, cellFolder, teacherPath } from "./folder.ts";

/** Name of the network of a run that others are taught by. @throws CONFIG_INVALID where it trains none */
export function requireTeaching(config: RunConfig): string {
  const { outline, passes } = phasesOf(config);
  const name = teachingNetwork(outline, config.method.kind);
  const trained = passes.some(({ phase }) => outline.phases.some((one) => one.name === phase && one.network === name));
  if (name !== undefined && trained) return name;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `teacher: a run of method ${config.method.kind} trains no network in full precision; lay method.kind: full over it`,
  );
}

/** Keeps the teacher of its run as a file. @returns SHA-256 of its bytes @throws STORAGE_FAILED, CHECKPOINT_CORRUPT */
export async function keepTeacher(path: string, config: RunConfig): Promise<string> {
  const bytes = await networkFile(cellFolder(path, TEACHER_CELL), requireTeaching(config));
  const sha256 = contentHash(bytes);
  await writeNetworkFile(teacherPath(path, sha256), bytes);
  return sha256;
}

/**
 * The teacher, where its run is over; its file is written anew where it is gone or damaged.
 * @throws CHECKPOINT_CORRUPT where that is no more the teacher that there was
 */
export async function findTeacher(path: string, config: RunConfig): Promise<SharedTeacher | undefined> {
  const result = await readCellResult(cellFolder(path, TEACHER_CELL));
  if (result?.exported === undefined) return undefined;
  const file = teacherPath(path, result.exported);
  const bytes = await bytesAt(file);
  const whole = bytes !== undefined && contentHash(bytes) === result.exported;
  if (!whole && (await keepTeacher(path, config)) !== result.exported) {
    throw new BitswarmError(
      "CHECKPOINT_CORRUPT",
      `the teacher's run in ${cellFolder(path, TEACHER_CELL)} has another teacher than the one that cells were taught by: put ${file} back, or name another --out`,
    );
  }
  return sharedTeacher(result, result.exported);
}

/** Whether a cell's run would be the teacher's over again: the same configuration but for its name. */
export function trainsAsTeacher({ config, taught }: Pick<Cell, "config" | "taught">, teacher: RunConfig): boolean {
  const { outline } = phasesOf(teacher);
  if (taught || teachingNetwork(outline, teacher.method.kind) !== outline.primary) return false;
  const others = changedFields(teacher, config).filter(({ field }) => field !== "name");
  // In full precision the method's objective is none: two words for one program.
  const onlyWords = others.every(
    ({ field, from, to }) => field === "objective.kind" && from === "none" && to === "method",
  );
  return onlyWords && JSON.stringify(phasesOf(config)) === JSON.stringify(phasesOf(teacher));
}

/** What came of the teacher's run, as a cell's own. */
export async function takenFromTeacher(
  path: string,
  { name, method, seed, rate }: Pick<Cell, "name" | "method" | "seed" | "rate">,
): Promise<Omit<CellResult, "format"> | undefined> {
  const result = await readCellResult(cellFolder(path, TEACHER_CELL));
  if (result?.outcome !== "finished") return undefined;
  const { format: _, exported: __, ...outcome } = result;
  return { ...outcome, cell: name, method, seed, rate, sameAs: TEACHER_CELL };
}

function sharedTeacher({ score, charge, seconds }: CellResult, sha256: string): SharedTeacher {
  const { total, samples } = charge;
  return { sha256, ...(score ? { score } : {}), total, samples, seconds };
}

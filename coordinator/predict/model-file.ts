// An exported network, by the name that a person gives it: a file of `coordinator export`, or a run's folder, whose
// newest checkpoint is exported for the moment.

import { readFile, stat } from "node:fs/promises";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { ExportedModel } from "../../shared/export/exported-model.ts";
import { readExported } from "../../shared/export/read-exported.ts";
import { exportedNetwork } from "../checkpoint/export.ts";
import { storageError } from "../disk/storage-error.ts";

/** Of a file that is read: the largest network has as many parameters, in float32. */
export const MOST_MODEL_BYTES = 2 ** 31 - 1;

export interface ModelFile {
  readonly bytes: Uint8Array;
  readonly model: ExportedModel;
  /** What a person should know of it. */
  readonly notices: readonly string[];
}

/**
 * @param network of a run, by its name or title; its primary one unless given
 * @throws DATA_MISSING, MODEL_INVALID, SAFETENSORS_INVALID, STORAGE_FAILED, and what an export throws
 */
export async function readModelFile(where: string, network?: string): Promise<ModelFile> {
  const facts = await stat(where).catch(() => undefined);
  if (facts === undefined) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${where} is not there; name a file that \`export\` wrote, or a run's folder`,
    );
  }
  if (facts.isDirectory()) {
    const { bytes, model, skipped, notices } = await exportedNetwork(where, network);
    return { bytes, model, notices: [...skipped.map(({ path, reason }) => `skipped ${path}: ${reason}`), ...notices] };
  }
  if (network !== undefined) {
    throw new BitswarmError("CONFIG_INVALID", `--network is of a run's folder; ${where} is a file of one network`);
  }
  if (!facts.isFile() || facts.size > MOST_MODEL_BYTES) {
    const what = facts.isFile() ? `has ${facts.size} bytes; at most ${MOST_MODEL_BYTES} are read` : "is no file";
    throw new BitswarmError("MODEL_INVALID", `${where} ${what}`);
  }
  const bytes = await readFile(where).catch((error) => {
    throw storageError(error, where, undefined, "read");
  });
  try {
    return { bytes, model: readExported(bytes), notices: [] };
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    throw new BitswarmError(error.code, `${where}: ${error.message}`, { cause: error });
  }
}

// What a run needs beside its folder, found again by what is in it, wherever it lies now: the data set, and a teacher
// that somebody else trained.

import { resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { isBucket } from "../../shared/data/data-kinds.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { commandText } from "../base/command-text.ts";
import { type Checkpoint, requireDataset } from "../checkpoint/checkpoint.ts";
import { readTeacherFile } from "../checkpoint/teacher-file.ts";
import { type OpenDataset, openDataset } from "../data/open-dataset.ts";
import type { TrainingState } from "../state/training-state.ts";

interface FoundData {
  readonly data: OpenDataset;
  /** The field that says where it is, where that is not what was named. */
  readonly moved: { readonly root?: string; readonly store?: string };
  readonly notices: readonly string[];
}

/**
 * Finds the data set by its content: where the configuration says, else in BITSWARM_DATA.
 * @throws DATA_MISSING, DATA_INVALID, with how to name another folder
 */
export async function findData(
  runDir: string,
  checkpoint: Checkpoint,
  config: RunConfig,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<FoundData> {
  const { classes } = checkpoint.manifest.dataset;
  // A run of before the configuration said how many classes there are goes on with those that it had.
  const asTrained = classes > 0 ? { classes, ...config.data } : config.data;
  const open = async (options: typeof asTrained) => {
    const data = await openDataset(options, environment);
    requireDataset(checkpoint, data.dataset);
    return data;
  };
  try {
    return { data: await open(asTrained), moved: {}, notices: [] };
  } catch (error) {
    const lost = error instanceof BitswarmError && (error.code === "DATA_MISSING" || error.code === "DATA_INVALID");
    if (!lost) throw error;
    const { BITSWARM_DATA: named } = environment;
    const field = config.data.kind === "store" ? "store" : "root";
    if (config.data[field] !== undefined && named !== undefined && named !== "") {
      const moved = { [field]: isBucket(named) ? named : resolve(named) };
      const data = await open({ ...asTrained, ...moved }).catch(() => undefined);
      if (data) return { data, moved, notices: [`the data set is in ${moved[field]}, as BITSWARM_DATA says`] };
    }
    const again = commandText("coordinator", ["resume", runDir, "--set", `data.${field}=FOLDER`]);
    const what = field === "store" ? "the same store" : "the same files";
    throw new BitswarmError(
      error.code,
      `${error.message}. Any folder that holds ${what} will do, what is in them is compared: \`${again}\`, or BITSWARM_DATA=FOLDER`,
      { cause: error },
    );
  }
}

/** The networks that are from a file, read from where it is now. @throws TEACHER_MISMATCH where they are others */
export async function requireTeacher({ program, networks, parameters }: TrainingState): Promise<void> {
  for (const { name, file } of program.networks) {
    if (file === undefined) continue;
    const read = await readTeacherFile(file, networks[name].manifest);
    const other = [...read].find(([entry, values]) => {
      const own = parameters[name].get(entry);
      return own === undefined || Buffer.compare(bytesOf(own), bytesOf(values)) !== 0;
    });
    if (other === undefined) continue;
    throw new BitswarmError(
      "TEACHER_MISMATCH",
      `teacher.file: ${file} holds another ${other[0]} than the teacher that this run began with; leave teacher.file as it was, the checkpoint has its parameters`,
    );
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

// What is left of a checkpoint when the process dies while it writes one.

import { cp, mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readNewestCheckpoint, restoreState } from "../../../coordinator/checkpoint/checkpoint.ts";
import { diskFiles, type FileOperations } from "../../../coordinator/disk/durable-file.ts";
import { recordEvaluation } from "../../../coordinator/state/training-state.ts";
import { essence, foldersOf, stateAt, write } from "../../fixtures/tiny-checkpoint.ts";
import { tinyConfig, tinyDataset, withFolder } from "../../fixtures/tiny-run.ts";

/** The real disk, until call `failing` (from 0), which is done in part or not at all. */
function failingDisk(failing: number): FileOperations {
  let calls = 0;
  const attempt = async (act: () => Promise<void>, part: () => Promise<void> = async () => {}) => {
    // A process that died makes no more calls.
    if (calls > failing) throw new Error("dead");
    if (calls++ < failing) return act();
    await part();
    throw new Error("dead");
  };
  return {
    writeFile: (path, bytes, mode) =>
      attempt(
        () => diskFiles.writeFile(path, bytes, mode),
        () => diskFiles.writeFile(path, bytes.slice(0, bytes.length >> 1), mode),
      ),
    rename: (from, to) => attempt(() => diskFiles.rename(from, to)),
    syncDirectory: (path) => attempt(() => diskFiles.syncDirectory(path)),
    makeDirectory: (path) => attempt(() => diskFiles.makeDirectory(path)),
    remove: (path) =>
      attempt(
        () => diskFiles.remove(path),
        () => diskFiles.remove(join(path, "manifest.json")),
      ),
  };
}

test("killed at any call to the disk, the new checkpoint or the one before is there, whole, and the next write tidies up", async () => {
  // Without the GAN, as the discriminators make up most of the bytes.
  const before = stateAt(3, tinyConfig({ method: { ablation: "R" }, checkpoint: { keep: 1 } }));
  const after = stateAt(4, before.state.config);
  const again = stateAt(3, before.state.config);
  recordEvaluation(again.state, "student", 0.5);
  const cases = [
    { next: after, name: "step-4" },
    { next: again, name: "step-3" },
  ];
  for (const { next, name } of cases) {
    const outcomes = new Set<boolean>();
    for (let failing = 0; ; failing++) {
      const finished = await withFolder(async (runDir) => {
        await write(runDir, before.state, before.ledger);
        const died = await write(runDir, next.state, next.ledger, failingDisk(failing)).then(
          () => false,
          (error: Error) => error.message === "dead",
        );
        const checkpoint = await readNewestCheckpoint(runDir);
        const restored = restoreState(checkpoint, tinyDataset(next.state.config));
        const isNew =
          restored.step === next.state.step && restored.evaluations.student === next.state.evaluations.student;
        outcomes.add(isNew);
        expect(essence(restored)).toEqual(essence(isNew ? next.state : before.state));
        if (died) await write(runDir, next.state, next.ledger);
        expect(await foldersOf(runDir)).toEqual([name]);
        expect(essence(restoreState(await readNewestCheckpoint(runDir), tinyDataset(next.state.config)))).toEqual(
          essence(next.state),
        );
        return !died;
      });
      if (finished) break;
    }
    expect(outcomes).toEqual(new Set([true, false]));
  }
});

test("a checkpoint that a crash left renamed aside is found, unless another has taken its place", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(2);
    const path = await write(runDir, state, ledger);
    await rename(path, `${path}.replaced`);
    const found = await readNewestCheckpoint(runDir);
    expect([found.path, found.manifest.step]).toEqual([`${path}.replaced`, 2]);
    await cp(`${path}.replaced`, path, { recursive: true });
    expect((await readNewestCheckpoint(runDir)).path).toBe(path);
  }));

test("what a crash left unfinished does not get into the next checkpoint", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(2, tinyConfig({ method: { ablation: "R" } }));
    const unfinished = join(runDir, "checkpoints", ".writing-step-2");
    await mkdir(unfinished, { recursive: true });
    await writeFile(join(unfinished, "stray.safetensors"), "x");
    expect(await readdir(await write(runDir, state, ledger))).not.toContain("stray.safetensors");
    expect(await foldersOf(runDir)).toEqual(["step-2"]);
  }));

test.each(["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EIO", "ENOENT"])(
  "a disk that says %s at any call is STORAGE_FAILED with the path, and the checkpoint before is there",
  async (code) => {
    const before = stateAt(1, tinyConfig({ method: { ablation: "R" }, checkpoint: { keep: 1 } }));
    const after = stateAt(2, before.state.config);
    for (let failing = 0; ; failing++) {
      let calls = 0;
      const attempt =
        <A extends readonly unknown[]>(act: (...given: A) => Promise<void>) =>
        async (...given: A) => {
          if (calls++ === failing) throw Object.assign(new Error(code), { code });
          return act(...given);
        };
      const { writeFile, rename: move, syncDirectory, makeDirectory, remove } = diskFiles;
      const disk: FileOperations = {
        writeFile: attempt(writeFile),
        rename: attempt(move),
        syncDirectory: attempt(syncDirectory),
        makeDirectory: attempt(makeDirectory),
        remove: attempt(remove),
      };
      const done = await withFolder(async (runDir) => {
        await write(runDir, before.state, before.ledger);
        const failure = await write(runDir, after.state, after.ledger, disk).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect([1, 2]).toContain((await readNewestCheckpoint(runDir)).manifest.step);
        if (failure === undefined) return true;
        expect(failure).toMatchObject({
          code: "STORAGE_FAILED",
          message: expect.stringMatching(new RegExp(`step-2 cannot be written: .*\\(${code}\\)`)),
        });
        return false;
      });
      if (done) break;
    }
  },
);

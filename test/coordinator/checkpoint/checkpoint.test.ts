// Rules of checkpoints: bit for bit, whole or not there, and never resumed from when damaged.
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readNewestCheckpoint, restoreState, writeCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { encodeCheckpoint } from "../../../coordinator/checkpoint/checkpoint-contents.ts";
import { decodeManifest, encodeManifest } from "../../../coordinator/checkpoint/checkpoint-manifest.ts";
import { contentHash } from "../../../coordinator/checkpoint/content-hash.ts";
import { diskFiles, type FileOperations } from "../../../coordinator/checkpoint/durable-file.ts";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { recordEvaluation, type TrainingState, wireBlob } from "../../../coordinator/training/training-state.ts";
import { toOihw } from "../../../shared/axes.ts";
import { float32Of, readSafetensors } from "../../../shared/safetensors.ts";
import { advance, tinyConfig, tinyDataset, tinyState, withFolder } from "../../fixtures/tiny-run.ts";

const extra = { run: "tiny-run", time: "2026-01-02T03:04:05.000Z" };
const write = (runDir: string, state: TrainingState, ledger: Ledger, disk?: FileOperations) =>
  writeCheckpoint(runDir, encodeCheckpoint(state, extra.run), state, ledger, extra, disk);

/** Everything of a state that a later step can depend on; tensors by the hash of their bits. */
function essence(state: TrainingState) {
  const { teacher, student, momentum, adamFirst, adamSecond, replica } = state;
  const maps = { teacher, student, momentum, adamFirst, adamSecond, replica };
  const bits = Object.entries(maps).flatMap(([map, tensors]) =>
    [...tensors].map(([name, values]) => `${map} ${name} ${contentHash(new Uint8Array(values.slice().buffer))}`),
  );
  const { adamStep, exponents, step, evaluations, evaluatedAt } = state;
  return { bits: bits.sort(), adamStep, exponents: [...exponents].sort(), step, evaluations, evaluatedAt };
}

function stateAt(steps: number, config = tinyConfig()) {
  const state = tinyState(config);
  const ledger = new Ledger();
  for (let i = 0; i < steps; i++) advance(state, ledger);
  return { state, ledger };
}

async function foldersOf(runDir: string): Promise<string[]> {
  return (await readdir(join(runDir, "checkpoints"))).sort();
}

test("a run resumed at any step ends bit for bit where the uninterrupted one does", () =>
  withFolder(async (runDir) => {
    const whole = stateAt(10);
    expect(whole.state.step).toBe(whole.state.program.steps);
    for (let step = 0; step <= 10; step++) {
      const { state, ledger } = stateAt(step);
      recordEvaluation(state, "teacher", 0.1 + step / 30);
      await write(runDir, state, ledger);
      const checkpoint = await readNewestCheckpoint(runDir);
      const restored = restoreState(checkpoint, tinyDataset(state.config));
      expect(essence(restored)).toEqual(essence(state));
      expect(wireBlob(restored, "student")).toMatchObject({ hash: wireBlob(state, "student").hash });
      while (restored.step < 10) advance(restored, checkpoint.ledger);
      expect(essence(restored).bits).toEqual(essence(whole.state).bits);
      expect(restored.exponents).toEqual(whole.state.exponents);
      expect(checkpoint.ledger.toJSON()).toEqual(whole.ledger.toJSON());
    }
  }));

test("K12 what is usual of contributions is in the checkpoint, and one of before it was knows of nothing", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(3);
    const norms = { gradient: 1 / 3, discriminator: 1e-30, statistic: 0, metric: 5 };
    state.norms.set("student", [[{ samples: 32, norms }], [{ samples: 16, norms: { gradient: 2 } }]]);
    state.peaks.set("student", [1 / 3, 0, 1e-30]);
    await write(runDir, state, ledger);
    const restored = restoreState(await readNewestCheckpoint(runDir), tinyDataset(state.config));
    expect(restored.norms).toEqual(state.norms);
    expect(restored.peaks).toEqual(state.peaks);
    const checkpoint = await readNewestCheckpoint(runDir);
    const { norms: _, peaks: _peaks, ...manifest } = checkpoint.manifest;
    expect(decodeManifest(encodeManifest(manifest))).toEqual(manifest);
    expect(restoreState({ ...checkpoint, manifest }, tinyDataset(state.config))).toMatchObject({
      norms: new Map(),
      peaks: new Map(),
    });
  }));

test("restoring and writing again gives the same files, byte for byte", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(7);
    const path = await write(runDir, state, ledger);
    const before = new Map(
      await Promise.all((await readdir(path)).map(async (f) => [f, await readFile(join(path, f))] as const)),
    );
    const checkpoint = await readNewestCheckpoint(runDir);
    await write(runDir, restoreState(checkpoint, tinyDataset(state.config)), checkpoint.ledger);
    expect(await foldersOf(runDir)).toEqual(["step-7"]);
    for (const [file, bytes] of before) expect(bytes.equals(await readFile(join(path, file))), file).toBe(true);
  }));

test("files hold PyTorch's axis order under torchvision's names", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(4);
    const path = await write(runDir, state, ledger);
    expect((await readdir(path)).sort()).toEqual([
      "discriminators.safetensors",
      "manifest.json",
      "model.safetensors",
      "optimizer.safetensors",
      "replica.safetensors",
      "teacher.safetensors",
    ]);
    const { tensors, metadata } = readSafetensors(await readFile(join(path, "model.safetensors")));
    expect(metadata).toMatchObject({ format: "pt", step: "4", run: "tiny-run" });
    expect(tensors.get("conv3.weight")!.shape).toEqual([4, 2, 4, 4]);
    expect(tensors.get("conv3.c")!.shape).toEqual([1, 1, 4, 4]);
    expect(float32Of(tensors.get("conv3.weight")!)).toEqual(toOihw(state.student.get("conv3.weight")!, [4, 2, 4, 4]));
    expect(tensors.has("bn1.running_mean")).toBe(true);
    expect(tensors.has("discriminator.conv2.0.weight")).toBe(false);
  }));

test("D7 a resumed run sends its workers the discriminators that the uninterrupted one sends", () =>
  withFolder(async (runDir) => {
    for (const discriminators of ["f32", "f16", "int8"]) {
      const config = tinyConfig({ downlink: { discriminators } });
      const whole = stateAt(4, config);
      await write(runDir, whole.state, whole.ledger);
      const checkpoint = await readNewestCheckpoint(runDir);
      const restored = restoreState(checkpoint, tinyDataset(config));
      expect(restored.replica.size > 0).toBe(discriminators === "int8");
      // The replica is not what is trained: it would be lost without a file of its own.
      const [name] = restored.replica.keys();
      if (name) expect(restored.replica.get(name)).not.toEqual(restored.student.get(name));
      for (let step = 4; step < 10; step++) {
        const [resumed, uninterrupted] = [
          wireBlob(restored, "discriminators"),
          wireBlob(whole.state, "discriminators"),
        ];
        expect(resumed.hash).toBe(uninterrupted.hash);
        advance(restored, checkpoint.ledger);
        advance(whole.state, whole.ledger);
      }
    }
  }));

test("a checkpoint from before there were replicas loads, where one is wanted with the true values", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(4);
    const path = await write(runDir, state, ledger);
    const { manifest } = await readNewestCheckpoint(runDir);
    const { downlink: _, ...config } = manifest.config;
    const { "replica.safetensors": __, ...files } = manifest.files;
    const rewrite = (config: object) =>
      writeFile(join(path, "manifest.json"), encodeManifest({ ...manifest, config, files } as typeof manifest));
    await rewrite(config);
    const old = restoreState(await readNewestCheckpoint(runDir), tinyDataset(state.config));
    expect([old.step, old.replica.size]).toEqual([4, 0]);
    await rewrite(manifest.config);
    const restored = restoreState(await readNewestCheckpoint(runDir), tinyDataset(state.config));
    expect(restored.step).toBe(4);
    for (const [name, values] of restored.replica) expect(values).toEqual(state.student.get(name));
    expect(restored.replica.size).toBe(restored.networks.discriminators.entries.length);
  }));

test("without the GAN there is neither a teacher's nor a discriminators' file", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(2, tinyConfig({ ablation: "R" }));
    const path = await write(runDir, state, ledger);
    expect((await readdir(path)).sort()).toEqual(["manifest.json", "model.safetensors", "optimizer.safetensors"]);
    const checkpoint = await readNewestCheckpoint(runDir);
    expect(checkpoint.manifest.paramsHash.teacher).toBeNull();
    expect(essence(restoreState(checkpoint, tinyDataset(state.config)))).toEqual(essence(state));
  }));

test("a checkpoint with one wrong byte in any file is skipped, said so, and the one before is taken", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(3);
    await write(runDir, state, ledger);
    advance(state, ledger);
    const newest = await write(runDir, state, ledger);
    for (const file of await readdir(newest)) {
      const path = join(newest, file);
      const bytes = await readFile(path);
      for (const at of [0, bytes.length >> 1, bytes.length - 3]) {
        const broken = Buffer.from(bytes);
        broken[at] ^= 1;
        await writeFile(path, broken);
        const { path: taken, manifest, skipped } = await readNewestCheckpoint(runDir);
        expect([taken, manifest.step]).toEqual([join(runDir, "checkpoints", "step-3"), 3]);
        expect(skipped).toEqual([{ path: newest, reason: expect.stringMatching(`CHECKPOINT_CORRUPT: ${file}`) }]);
      }
      for (const broken of [bytes.subarray(0, bytes.length - 3), Buffer.alloc(0)]) {
        await writeFile(path, broken);
        expect((await readNewestCheckpoint(runDir)).skipped[0].path).toBe(newest);
      }
      await rm(path);
      expect((await readNewestCheckpoint(runDir)).skipped[0].reason).toContain("ENOENT");
      await writeFile(path, bytes);
      expect((await readNewestCheckpoint(runDir)).skipped).toEqual([]);
    }
  }));

test("no byte of a manifest can change unnoticed", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(1);
    const text = await readFile(join(await write(runDir, state, ledger), "manifest.json"));
    const original = decodeManifest(text.toString());
    for (let at = 0; at < text.length; at += 3) {
      const broken = Buffer.from(text);
      broken[at] ^= 1;
      let read: unknown = original;
      try {
        read = decodeManifest(broken.toString());
      } catch (error) {
        expect(error, `byte ${at}`).toMatchObject({ code: "CHECKPOINT_CORRUPT" });
      }
      expect(read).toEqual(original);
    }
  }));

test("where none verifies the run is CHECKPOINT_CORRUPT with every reason, where none is there CHECKPOINT_MISSING", () =>
  withFolder(async (runDir) => {
    await expect(readNewestCheckpoint(runDir)).rejects.toMatchObject({
      code: "CHECKPOINT_MISSING",
      message: expect.stringContaining("coordinator start"),
    });
    await expect(readNewestCheckpoint(join(runDir, "no", "such"))).rejects.toMatchObject({
      code: "CHECKPOINT_MISSING",
    });
    const { state, ledger } = stateAt(1);
    for (let i = 0; i < 2; i++) {
      await writeFile(join(await write(runDir, state, ledger), "model.safetensors"), "x");
      advance(state, ledger);
    }
    await expect(readNewestCheckpoint(runDir)).rejects.toMatchObject({
      code: "CHECKPOINT_CORRUPT",
      message: expect.stringMatching(/none of the 2 .*step-2: .*model\.safetensors has 1 bytes.*step-1: /s),
    });
  }));

test("only the newest `keep` stay, and those of steps that a resumed run has left go", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(0, tinyConfig({ checkpoint: { keep: 2 } }));
    for (let i = 0; i < 4; i++) {
      advance(state, ledger);
      await write(runDir, state, ledger);
    }
    expect(await foldersOf(runDir)).toEqual(["step-3", "step-4"]);
    // Both are damaged; an older copy comes back and the run goes on from there.
    const old = stateAt(1, state.config);
    await write(runDir, old.state, old.ledger);
    expect(await foldersOf(runDir)).toEqual(["step-1"]);
  }));

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
  const before = stateAt(3, tinyConfig({ ablation: "R", checkpoint: { keep: 1 } }));
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

test("the state may go on while its checkpoint is written", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(2);
    const writing = write(runDir, state, ledger);
    advance(state, ledger);
    await writing;
    expect(essence(restoreState(await readNewestCheckpoint(runDir), tinyDataset(state.config)))).toEqual(
      essence(stateAt(2).state),
    );
  }));

test("another data set than the one trained on is refused, with both", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(1);
    await write(runDir, state, ledger);
    const dataset = tinyDataset(state.config);
    const other = {
      ...dataset,
      train: { ...dataset.train, shards: [{ ...dataset.train.shards[0], sha256: "c".repeat(64) }] },
    };
    const checkpoint = await readNewestCheckpoint(runDir);
    expect(() => restoreState(checkpoint, other)).toThrow(expect.objectContaining({ code: "DATA_INVALID" }));
  }));

test("a ledger that does not fit the step is refused", () =>
  withFolder(async (runDir) => {
    const { state } = stateAt(2);
    await write(runDir, state, stateAt(1).ledger);
    const checkpoint = await readNewestCheckpoint(runDir);
    expect(() => restoreState(checkpoint, tinyDataset(state.config))).toThrow(
      expect.objectContaining({ code: "LEDGER_VIOLATION" }),
    );
  }));

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
    const { state, ledger } = stateAt(2, tinyConfig({ ablation: "R" }));
    const unfinished = join(runDir, "checkpoints", ".writing-step-2");
    await mkdir(unfinished, { recursive: true });
    await writeFile(join(unfinished, "stray.safetensors"), "x");
    expect(await readdir(await write(runDir, state, ledger))).not.toContain("stray.safetensors");
    expect(await foldersOf(runDir)).toEqual(["step-2"]);
  }));

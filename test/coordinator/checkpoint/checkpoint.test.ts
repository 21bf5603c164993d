// Rules of checkpoints: bit for bit, whole or not there, and never resumed from when damaged.
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readNewestCheckpoint, restoreState } from "../../../coordinator/checkpoint/checkpoint.ts";
import { decodeManifest, encodeManifest } from "../../../coordinator/checkpoint/checkpoint-manifest.ts";
import { recordEvaluation, wireBlob } from "../../../coordinator/state/training-state.ts";
import { float32Of, readSafetensors } from "../../../shared/base/safetensors.ts";
import { toOihw } from "../../../shared/model/axes.ts";
import { essence, foldersOf, stateAt, write } from "../../fixtures/tiny-checkpoint.ts";
import { advance, tinyConfig, tinyDataset, withFolder } from "../../fixtures/tiny-run.ts";

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
    const norms = { gradient: 1 / 3, critic: 1e-30, statistic: 0, metric: 5 };
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
    expect(float32Of(tensors.get("conv3.weight")!)).toEqual(
      toOihw(state.parameters.student.get("conv3.weight")!, [4, 2, 4, 4]),
    );
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
      if (name) expect(restored.replica.get(name)).not.toEqual(restored.parameters.student.get(name));
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
    for (const [name, values] of restored.replica) expect(values).toEqual(state.parameters.student.get(name));
    expect(restored.replica.size).toBe(restored.networks.student.partners.discriminators.entries.length);
  }));

test("without the GAN there is neither a teacher's nor a discriminators' file", () =>
  withFolder(async (runDir) => {
    const { state, ledger } = stateAt(2, tinyConfig({ method: { ablation: "R" } }));
    const path = await write(runDir, state, ledger);
    expect((await readdir(path)).sort()).toEqual(["manifest.json", "model.safetensors", "optimizer.safetensors"]);
    const checkpoint = await readNewestCheckpoint(runDir);
    expect(Object.keys(checkpoint.manifest.paramsHash)).toEqual(["student"]);
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
      message: expect.stringContaining("npx coordinator start"),
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

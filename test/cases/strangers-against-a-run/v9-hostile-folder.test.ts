// A run's folder that a stranger made: nothing outside of it is read or written, nothing endless or huge is read.

import { createHash } from "node:crypto";
import { copyFile, cp, mkdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readNewestCheckpoint } from "../../../coordinator/checkpoint/checkpoint.ts";
import { MOST_TENSOR_FILES } from "../../../coordinator/checkpoint/checkpoint-manifest.ts";
import { MOST_LOG_BYTES } from "../../../coordinator/checkpoint/commit-log.ts";
import { exportModel } from "../../../coordinator/checkpoint/export.ts";
import { coordinate } from "../../../coordinator/program/coordinate.ts";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { MOST_RUN_FILE_BYTES } from "../../../coordinator/run/run-directory.ts";
import { MOST_TRUST_BYTES, readTrust } from "../../../coordinator/trust/trust-file.ts";
import { scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

/** A run of a stranger with one checkpoint, and a file of the user's beside it. */
async function theirRun() {
  const started = await startTestRun({ maxSteps: 2, config: { checkpoint: { everySteps: 100, keep: 1 } } });
  const { checkpoint } = await workToTheEnd(started, 1);
  const folder = await scratchFolder();
  const path = join(folder, "run");
  await cp(started.run.directory.path, path, { recursive: true });
  const own = join(folder, "own");
  await writeFile(own, "the user's own words\n");
  return { path, own, checkpoint: join(path, "checkpoints", checkpoint.split("/").at(-1) ?? "") };
}

/** Changes a manifest as one can who makes a folder: its own hash is right. */
async function forge(checkpoint: string, change: (manifest: Record<string, unknown>) => void): Promise<void> {
  const file = join(checkpoint, "manifest.json");
  const { sha256: _, ...fields } = JSON.parse(await readFile(file, "utf8"));
  change(fields);
  const sha256 = createHash("sha256").update(JSON.stringify(fields)).digest("hex");
  await writeFile(file, JSON.stringify({ ...fields, sha256 }));
}

type Files = Record<string, { bytes: number; sha256: string; holds: string }>;

test.each(["../../own", "..", "/etc/hostname", "sub/own", "sub\\own", ".hidden"])(
  "a checkpoint whose manifest names %j is refused before anything of that name is read",
  async (name) => {
    const { path, checkpoint } = await theirRun();
    await forge(checkpoint, (manifest) => {
      (manifest.files as Files)[name] = { bytes: 21, sha256: "0".repeat(64), holds: "" };
    });
    for (const read of [() => reopenRun(path), () => exportModel(path, join(path, "..", "out"))]) {
      await expect(read()).rejects.toMatchObject({
        code: "CHECKPOINT_CORRUPT",
        message: expect.stringMatching(/files.*(no name of a file|Invalid key)/),
      });
    }
  },
);

test("a manifest names few files, none of them huge", async () => {
  const { path, checkpoint } = await theirRun();
  const huge = { bytes: 2 ** 31, sha256: "0".repeat(64), holds: "" };
  await forge(checkpoint, (manifest) => {
    (manifest.files as Files).huge = huge;
  });
  await expect(readNewestCheckpoint(path)).rejects.toMatchObject({ message: expect.stringContaining("files.huge") });
  await forge(checkpoint, (manifest) => {
    for (let i = 0; i <= MOST_TENSOR_FILES; i++) (manifest.files as Files)[`f${i}`] = { ...huge, bytes: 1 };
    delete (manifest.files as Files).huge;
  });
  await expect(readNewestCheckpoint(path)).rejects.toMatchObject({
    message: expect.stringContaining(`more than ${MOST_TENSOR_FILES}`),
  });
});

test.each([
  ["a link to an endless device", async (file: string) => symlink("/dev/zero", file)],
  ["a link to another file", async (file: string, copy: string) => symlink(copy, file)],
  ["a folder", async (file: string) => void (await mkdir(file))],
  [
    "larger than the manifest says",
    async (file: string, copy: string) => {
      await copyFile(copy, file);
      // A hole: nothing is written, and nothing must be read.
      await truncate(file, 2 ** 40);
    },
  ],
])("a tensor file that is %s is not read", async (_, make) => {
  const { path, checkpoint } = await theirRun();
  const file = join(checkpoint, "model.safetensors");
  const copy = join(path, "copy");
  await rename(file, copy);
  await make(file, copy);
  await expect(readNewestCheckpoint(path)).rejects.toMatchObject({
    code: "CHECKPOINT_CORRUPT",
    message: expect.stringMatching(/model\.safetensors (is a link|is a folder|has 1099511627776 bytes; at most)/),
  });
});

test("a socket in place of a file is not opened", async () => {
  const { path, checkpoint } = await theirRun();
  const file = join(checkpoint, "manifest.json");
  await rm(file);
  const server = createServer().listen(file);
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  await expect(readNewestCheckpoint(path)).rejects.toMatchObject({
    message: expect.stringContaining("is a link, a fifo"),
  });
});

test.each(["checkpoints", "checkpoints/step-2"])("%s that is a link to a folder elsewhere is refused", async (name) => {
  const { path } = await theirRun();
  const elsewhere = join(path, "..", "elsewhere");
  await rename(join(path, name), elsewhere);
  await symlink(elsewhere, join(path, name));
  await expect(reopenRun(path)).rejects.toMatchObject({
    code: "CHECKPOINT_CORRUPT",
    message: expect.stringContaining("is a link"),
  });
});

test.each(["run.yaml", "commits.ndjson", "token", "operator-token"])(
  "%s that is a link is refused: what it leads to is neither shown nor changed",
  async (name) => {
    const { path, own } = await theirRun();
    await rm(join(path, name), { force: true });
    await symlink(own, join(path, name));
    await expect(reopenRun(path)).rejects.toMatchObject({ message: expect.stringContaining(`${name} is a link`) });
    expect(await readFile(own, "utf8")).toBe("the user's own words\n");
  },
);

test("events.ndjson that is a link is refused before the run is driven, and the folder is let go", async () => {
  const { path, own } = await theirRun();
  await rm(join(path, "events.ndjson"));
  await symlink(own, join(path, "events.ndjson"));
  const options = { host: "127.0.0.1", port: 0, workers: 0, runtime: "auto", terminal: { write: () => true } } as const;
  for (let tries = 0; tries < 2; tries++) {
    const opened = await reopenRun(path);
    await expect(coordinate(opened, options)).rejects.toMatchObject({
      code: "STORAGE_FAILED",
      message: expect.stringContaining("events.ndjson is a link"),
    });
  }
  expect(await readFile(own, "utf8")).toBe("the user's own words\n");
});

test("trust.json and coordinator.json that are links are not followed", async () => {
  const { path, own } = await theirRun();
  await writeFile(own, JSON.stringify({ accounts: [{ account: "a".repeat(64), consecutiveValid: 99, strikes: 0 }] }));
  await rm(join(path, "trust.json"), { force: true });
  await symlink(own, join(path, "trust.json"));
  expect(await readTrust(path)).toMatchObject({ notice: expect.stringContaining("is a link") });
  expect((await readTrust(path)).standings.size).toBe(0);
  const address = join(path, "..", "address");
  await writeFile(address, JSON.stringify({ url: "http://127.0.0.1:1/", pid: 1 }));
  await symlink(address, join(path, "coordinator.json"));
  expect(await readStatus(path)).toMatchObject({ state: "stopped" });
});

test.each([
  ["run.yaml", MOST_RUN_FILE_BYTES],
  ["token", MOST_RUN_FILE_BYTES],
  ["commits.ndjson", MOST_LOG_BYTES],
])("%s of more than %i bytes is not read", async (name, most) => {
  const { path } = await theirRun();
  await truncate(join(path, name), most + 1);
  await expect(reopenRun(path)).rejects.toMatchObject({
    message: expect.stringContaining(`${name} has ${most + 1} bytes; at most ${most}`),
  });
});

test("trust.json that is huge is as good as lost", async () => {
  const { path } = await theirRun();
  await writeFile(join(path, "trust.json"), "");
  await truncate(join(path, "trust.json"), MOST_TRUST_BYTES + 1);
  expect(await readTrust(path)).toMatchObject({ notice: expect.stringContaining(`at most ${MOST_TRUST_BYTES}`) });
});

test("a token that could speak to a terminal, or is none, is replaced", async () => {
  const { path } = await theirRun();
  await writeFile(join(path, "token"), "\u001b]0;mine\u0007\n");
  const opened = await reopenRun(path);
  await opened.log.close();
  await opened.claim.release();
  expect(opened.directory.token).toMatch(/^[\w-]{20,}$/);
});

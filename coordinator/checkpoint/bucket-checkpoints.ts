// Checkpoints in a bucket, so that a run outlives the machine that drove it: a copy of the newest folder goes up, its
// manifest last, made where none has its name and never written over. The name has the writer's epoch, so that of a
// coordinator that was replaced and one that drives the run no two write the same object, and readers know which is
// newer.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { contentHash } from "../disk/content-hash.ts";
import { diskFiles, type FileOperations } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import type { Environment } from "../store/bucket-access.ts";
import { BucketClient } from "../store/bucket-client.ts";
import { CHECKPOINTS, type SkippedCheckpoint } from "./checkpoint.ts";
import {
  type CheckpointManifest,
  decodeManifest,
  MANIFEST,
  MOST_MANIFEST_BYTES,
  MOST_TENSOR_FILE_BYTES,
} from "./checkpoint-manifest.ts";
import { COMMIT_LOG } from "./commit-log.ts";

const FORMAT = 1;
const FOLDER = "checkpoints/";
const DIGITS = 10;
/** The manifest of a checkpoint, and what goes with it. */
const MOST_ENTRY_BYTES = MOST_MANIFEST_BYTES + 2 ** 20;

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const entrySchema = z.strictObject({
  format: z.literal(FORMAT),
  epoch: z.number().int().min(0),
  /** Files of the run's folder as they were: the commit log, and the standings of accounts. */
  beside: z.partialRecord(
    z.enum([COMMIT_LOG, "trust.json"]),
    z.strictObject({ bytes: z.number().int().min(0).max(MOST_TENSOR_FILE_BYTES), sha256: hex }),
  ),
  /** The text of the checkpoint's manifest.json, which has its own hash. */
  manifest: z.string(),
});
type Entry = z.output<typeof entrySchema>;
type Beside = keyof Entry["beside"];

interface EntryName {
  readonly name: string;
  readonly epoch: number;
  readonly step: number;
}

const padded = (n: number) => String(n).padStart(DIGITS, "0");
const entryName = (epoch: number, step: number) => `${FOLDER}epoch-${padded(epoch)}-step-${padded(step)}.json`;
/** Each epoch's files are its own: nobody removes what another is about to name. */
const fileKey = (epoch: number, sha256: string) => `files/epoch-${padded(epoch)}/${sha256}`;

/** The highest epoch has the run; within it, the latest step. */
function newestFirst(names: readonly string[]): EntryName[] {
  const found = names.flatMap((name): EntryName[] => {
    const match = new RegExp(`^${FOLDER}epoch-(\\d{${DIGITS}})-step-(\\d{${DIGITS}})\\.json$`).exec(name);
    return match ? [{ name, epoch: Number(match[1]), step: Number(match[2]) }] : [];
  });
  return found.sort((a, b) => b.epoch - a.epoch || b.step - a.step);
}

function corrupt(what: string): BitswarmError {
  return new BitswarmError("CHECKPOINT_CORRUPT", what);
}

/** A checkpoint that is in the bucket now. */
export interface StoredCheckpoint {
  /** `s3://…/checkpoints/epoch-…-step-….json`. */
  readonly where: string;
  readonly step: number;
  readonly epoch: number;
}

/** Where `fetch` put a run. */
export interface FetchedRun extends StoredCheckpoint {
  readonly skipped: readonly SkippedCheckpoint[];
}

export class BucketCheckpoints {
  readonly #client: BucketClient;
  readonly #disk: FileOperations;
  #conditions: Promise<void> | undefined;

  /** @param where `s3://bucket/prefix`, of one run. @throws CONFIG_INVALID */
  constructor(where: string, environment: Environment, disk: FileOperations = diskFiles) {
    this.#client = new BucketClient(where, environment);
    this.#disk = disk;
  }

  /** Tries once whether the storage can make an object without writing over one. @throws BUCKET_REFUSED */
  require(): Promise<void> {
    this.#conditions ??= this.#client.requireConditions();
    return this.#conditions;
  }

  /**
   * Copies a checkpoint of the disk into the bucket, and removes all but the newest `keep`. A copy that another writer
   * of the same epoch made of another state is left as it is.
   * @param path the checkpoint's folder
   * @throws COMMIT_LOG_FENCED where a higher epoch is there, or this one has another's checkpoint of the step;
   * BUCKET_REFUSED, CHECKPOINT_CORRUPT, and what reading the folder throws
   */
  async put(runDir: string, path: string, epoch: number, keep: number): Promise<StoredCheckpoint> {
    await this.require();
    const text = await readFile(join(path, MANIFEST), "utf8");
    const manifest = decodeManifest(text);
    const { step } = manifest;
    const before = newestFirst(await this.#client.list(FOLDER));
    const newer = before.find((other) => other.epoch > epoch);
    if (newer) throw this.#fenced(newer, epoch);
    for (const [file, { sha256 }] of Object.entries(manifest.files)) {
      await this.#putFile(epoch, Uint8Array.from(await readFile(join(path, file))), sha256, file);
    }
    const beside: Entry["beside"] = {};
    for (const file of [COMMIT_LOG, "trust.json"] as const) {
      const bytes = await readFile(join(runDir, file)).catch(() => undefined);
      if (bytes === undefined) continue;
      const sha256 = contentHash(bytes);
      await this.#putFile(epoch, Uint8Array.from(bytes), sha256, file);
      beside[file] = { bytes: bytes.length, sha256 };
    }
    const entry: Entry = { format: FORMAT, epoch, beside, manifest: text };
    const name = entryName(epoch, step);
    const made = await this.#client.putNew(name, new TextEncoder().encode(JSON.stringify(entry)));
    if (!made) await this.#requireSame(name, manifest, epoch);
    await this.#prune(epoch, keep);
    return { where: `${this.#client.where}/${name}`, step, epoch };
  }

  /**
   * Puts the newest checkpoint that is whole into a run's folder, with the commit log and the standings beside it, so
   * that the run goes on from there.
   * @throws CHECKPOINT_MISSING where there is none, CHECKPOINT_CORRUPT where none is whole, BUCKET_REFUSED,
   * STORAGE_FAILED
   */
  async fetch(runDir: string): Promise<FetchedRun> {
    const skipped: SkippedCheckpoint[] = [];
    for (const { name, step, epoch } of newestFirst(await this.#client.list(FOLDER))) {
      const where = `${this.#client.where}/${name}`;
      try {
        await this.#fetchEntry(name, runDir);
        return { where, step, epoch, skipped };
      } catch (error) {
        // What was removed under the reader's hands, or is damaged, is passed over; storage that fails is not.
        if (!(error instanceof BitswarmError) || !["CHECKPOINT_CORRUPT", "DATA_MISSING"].includes(error.code))
          throw error;
        skipped.push({ path: where, reason: `${error.code}: ${error.message}` });
      }
    }
    if (skipped.length === 0) {
      throw new BitswarmError(
        "CHECKPOINT_MISSING",
        `${this.#client.where} holds no checkpoint: give the address that the run had as checkpoint.bucket`,
      );
    }
    const reasons = skipped.map(({ path, reason }) => `  ${path}: ${reason}`);
    throw corrupt(
      [`none of the ${skipped.length} checkpoints in ${this.#client.where} is whole:`, ...reasons].join("\n"),
    );
  }

  /** The run that the newest checkpoint is of. @throws CHECKPOINT_MISSING, BUCKET_REFUSED, CHECKPOINT_CORRUPT */
  async run(): Promise<string> {
    const [newest] = newestFirst(await this.#client.list(FOLDER));
    if (newest) return (await this.#entry(newest.name)).manifest.run;
    throw new BitswarmError("CHECKPOINT_MISSING", `${this.#client.where} holds no checkpoint`);
  }

  async #putFile(epoch: number, bytes: Uint8Array<ArrayBuffer>, sha256: string, file: string): Promise<void> {
    if (contentHash(bytes) !== sha256) throw corrupt(`${file} is not what its checkpoint's ${MANIFEST} says`);
    await this.#client.put(fileKey(epoch, sha256), bytes, sha256);
  }

  async #entry(name: string): Promise<{ readonly entry: Entry; readonly manifest: CheckpointManifest }> {
    const what = `${this.#client.where}/${name}`;
    const bytes = await this.#client.take(await this.#client.get(name), MOST_ENTRY_BYTES, what);
    let value: unknown;
    try {
      value = JSON.parse(new TextDecoder().decode(bytes));
    } catch (cause) {
      throw corrupt(`${what} is not JSON (${(cause as Error).message})`);
    }
    const parsed = entrySchema.safeParse(value);
    if (!parsed.success)
      throw corrupt(`${what}: ${parsed.error.issues[0].path.join(".")}: ${parsed.error.issues[0].message}`);
    return { entry: parsed.data, manifest: decodeManifest(parsed.data.manifest) };
  }

  async #requireSame(name: string, mine: CheckpointManifest, epoch: number): Promise<void> {
    const { manifest } = await this.#entry(name);
    if (JSON.stringify(manifest.paramsHash) === JSON.stringify(mine.paramsHash)) return;
    throw new BitswarmError(
      "COMMIT_LOG_FENCED",
      `${this.#client.where}/${name} is there with other parameters: another coordinator writes as ${epoch}, too; stop one of them`,
    );
  }

  #fenced(newer: EntryName, epoch: number): BitswarmError {
    return new BitswarmError(
      "COMMIT_LOG_FENCED",
      `${this.#client.where}/${newer.name} was written by coordinator ${newer.epoch}; this is ${epoch}, which was replaced: it writes no checkpoint`,
    );
  }

  async #prune(epoch: number, keep: number): Promise<void> {
    const all = newestFirst(await this.#client.list(FOLDER)).filter((entry) => entry.epoch <= epoch);
    const gone = all.slice(keep);
    if (gone.length === 0) return;
    const needed = new Set<string>();
    for (const { name } of all.slice(0, keep)) for (const key of await this.#keysOf(name)) needed.add(key);
    for (const { name } of gone) {
      const keys = await this.#keysOf(name);
      // The manifest first: what names files must not outlive them.
      await this.#client.remove(name);
      for (const key of keys.filter((key) => !needed.has(key))) await this.#client.remove(key);
    }
  }

  /** Of one that is damaged no file is known. */
  async #keysOf(name: string): Promise<string[]> {
    try {
      const { entry, manifest } = await this.#entry(name);
      const files = [...Object.values(manifest.files), ...Object.values(entry.beside)];
      return files.map(({ sha256 }) => fileKey(entry.epoch, sha256));
    } catch (error) {
      if (error instanceof BitswarmError && error.code === "CHECKPOINT_CORRUPT") return [];
      throw error;
    }
  }

  async #fetchEntry(name: string, runDir: string): Promise<void> {
    const { entry, manifest } = await this.#entry(name);
    const root = join(runDir, CHECKPOINTS);
    const target = join(root, `step-${manifest.step}`);
    // Half a checkpoint must not look like one.
    const beside = join(root, `.writing-step-${manifest.step}`);
    try {
      await this.#disk.remove(beside);
      await this.#disk.makeDirectory(beside);
      for (const [file, facts] of Object.entries(manifest.files)) {
        await this.#disk.writeFile(join(beside, file), await this.#file(entry.epoch, file, facts));
      }
      await this.#disk.writeFile(join(beside, MANIFEST), entry.manifest);
      await this.#disk.syncDirectory(beside);
      for (const [file, facts] of Object.entries(entry.beside) as [Beside, { bytes: number; sha256: string }][]) {
        await this.#disk.writeFile(join(runDir, file), await this.#file(entry.epoch, file, facts));
      }
      await this.#disk.remove(target);
      await this.#disk.rename(beside, target);
      await this.#disk.syncDirectory(root);
      await this.#disk.syncDirectory(runDir);
    } catch (error) {
      await this.#disk.remove(beside).catch(() => undefined);
      throw error instanceof BitswarmError
        ? error
        : storageError(error, target, "Name another --run-dir, or make room");
    }
  }

  async #file(epoch: number, file: string, { bytes, sha256 }: { bytes: number; sha256: string }) {
    const key = fileKey(epoch, sha256);
    const what = `${file}, ${this.#client.where}/${key}`;
    const content = await this.#client.take(await this.#client.get(key), bytes + 1, what);
    if (content.length === bytes && contentHash(content) === sha256) return content;
    throw corrupt(`${what} is not what its manifest says`);
  }
}

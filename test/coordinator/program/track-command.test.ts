// `coordinator track` in this process: what is followed, what is there already, and what it comes to.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { type TrackFlags, trackCommand } from "../../../coordinator/program/track-command.ts";
import { boxesText } from "../../../coordinator/tracking/result-files.ts";
import type { RunningSession } from "../../../worker/session/session.ts";
import { drawnTracker } from "../../fixtures/drawn-tracker.ts";
import { filmWorker } from "../../fixtures/film-worker.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { type RenderedTrackingData, renderTrackingData } from "../../fixtures/tracking-sequences.ts";

const FRAMES = 4;
const base = { workers: 0, runtime: "auto", port: 0, host: "127.0.0.1", audit: 0 } as const;

interface Said {
  readonly lines: string[];
  readonly json: Record<string, unknown>[];
  readonly complete: boolean;
}

/** Runs the command, with a worker in this process once there is a link. */
async function track(
  model: string | undefined,
  flags: Omit<TrackFlags, keyof typeof base>,
  stopping = new AbortController(),
): Promise<Said> {
  const lines: string[] = [];
  const json: Record<string, unknown>[] = [];
  const workers: RunningSession[] = [];
  const terminal = {
    line: (text: string) => void lines.push(text),
    print: (value: object) => {
      json.push(value as Record<string, unknown>);
      if ("url" in value) workers.push(filmWorker(String(value.url)));
      // Whoever stops it does so after its first film.
      if (json.at(-1)?.event === "film" && stopsEarly.has(stopping)) stopping.abort();
    },
    tell: (text: string) => void lines.push(text),
    screen: { write: () => true },
  };
  const complete = await trackCommand(model, { ...base, ...flags }, terminal, stopping.signal);
  // Of a job that was stopped a worker waits for the next start.
  for (const worker of workers) worker.leave();
  await Promise.all(workers.map(({ ended }) => ended));
  return { lines, json, complete };
}

/** Those that stop after a film. */
const stopsEarly = new WeakSet<AbortController>();

const kindsOf = ({ json }: Said) => json.map(({ event }) => event);
const followed = ({ json }: Said) => json.filter(({ event }) => event === "film").map(({ film }) => film);

async function stage(): Promise<RenderedTrackingData & { readonly model: string; readonly folder: string }> {
  const folder = await scratchFolder();
  const model = path.join(folder, "tracker.safetensors");
  await writeFile(model, drawnTracker());
  return { ...(await renderTrackingData(folder, { train: 0, test: 2, frames: FRAMES })), model, folder };
}

test("A81 the films without results alone are followed, and a folder with another tracker's is refused", async () => {
  const { model, folder, got10k } = await stage();
  const [out, zip] = [path.join(folder, "results"), path.join(folder, "submission.zip")];
  const flags = { data: "got10k", root: got10k, out };
  const [one, two] = ["GOT-10k_Val_000001", "GOT-10k_Val_000002"];
  const first = await track(model, { ...flags, sequence: [two] });
  expect(followed(first)).toEqual([two]);
  const before = await readFile(path.join(out, two, `${two}_001.txt`), "utf8");
  const all = await track(model, flags);
  expect(followed(all)).toEqual([one]);
  expect(await readFile(path.join(out, two, `${two}_001.txt`), "utf8")).toBe(before);
  expect(all.complete).toBe(true);
  expect(all.json.at(-1)).toMatchObject({
    event: "done",
    films: 2,
    failed: 0,
    data: "GOT-10k val",
    protocol: "got10k",
  });
  const again = await track(model, { ...flags, zip });
  expect(kindsOf(again), "nothing is left to follow").toEqual(["done"]);
  const page = await readFile(path.join(out, "report.html"), "utf8");
  for (const name of [one, two]) expect(page).toContain(name);
  const other = path.join(folder, "other.safetensors");
  await writeFile(other, drawnTracker({ scale: 0.01 }));
  await expect(track(other, flags)).rejects.toThrow(/has results of another tracker/);
});

test("a job that is stopped keeps the films that were followed, and the same command goes on with the others", async () => {
  const { model, folder, got10k } = await stage();
  const flags = { data: "got10k", root: got10k, out: path.join(folder, "results") };
  const stopping = new AbortController();
  stopsEarly.add(stopping);
  const stopped = await track(model, flags, stopping);
  expect(stopped.complete).toBe(false);
  expect(followed(stopped)).toHaveLength(1);
  expect(stopped.json.at(-1)).toMatchObject({ event: "done", films: 1, failed: 1 });
  const rest = await track(model, flags);
  expect(followed(rest)).toHaveLength(1);
  expect(rest.json.at(-1)).toMatchObject({ films: 2, failed: 0 });
});

test("A82 results that are there are scored without a model, by the protocol that is chosen", async () => {
  const { folder, otb, uav123, sequences } = await stage();
  const results = path.join(folder, "theirs");
  const truth = (name: string) => sequences.find((one) => one.otb === name)?.frames ?? [];
  await mkdir(results);
  const names = sequences.flatMap((one) => (one.otb === undefined ? [] : [one.otb]));
  for (const name of names) {
    const boxes = truth(name).map(({ box: { x, y, w, h } }) => ({ x: x + 1, y: y + 1, w, h }));
    await writeFile(path.join(results, `${name}.txt`), boxesText(boxes));
  }
  const nowhere = path.join(folder, "nowhere");
  await expect(track(undefined, { data: "otb", root: otb, results: nowhere })).rejects.toMatchObject({
    code: "DATA_MISSING",
  });
  const right = await track(undefined, { data: "otb", root: otb, results });
  expect(right.complete).toBe(true);
  expect(right.json.at(-1)).toMatchObject({ films: 2, protocol: "all", score: { p20: 1, auc: 20 / 21 } });
  const kept = await track(undefined, { data: "otb", root: otb, results, protocol: "keep" });
  expect(kept.json.at(-1)).toMatchObject({ protocol: "keep" });
  // One wrong file costs its sequence alone.
  await writeFile(path.join(results, `${names[0]}.txt`), "1,1,9,9\n");
  const short = await track(undefined, { data: "otb", root: otb, results });
  expect(short.json.at(-1)).toMatchObject({ films: 1, failed: 1 });
  expect(short.json.find(({ event }) => event === "failed")?.message).toMatch(/DATA_INVALID.* has 1 boxes and/);
  await rm(path.join(results, `${names[0]}.txt`));
  const less = await track(undefined, { data: "otb", root: otb, results });
  expect(less.complete).toBe(false);
  expect(less.json.at(-1)).toMatchObject({ films: 1, failed: 1 });
  await expect(track(undefined, { data: "uav123", root: uav123, results, protocol: "got10k" })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
  });
});

test("a film that cannot be followed is told, and the others are followed and scored", async () => {
  const { model, folder, got10k } = await stage();
  const frame = path.join(got10k, "val", "GOT-10k_Val_000001", "00000002.jpg");
  await rm(frame);
  await writeFile(frame, "no picture");
  const said = await track(model, { data: "got10k", root: got10k, out: path.join(folder, "results") });
  expect(said.complete).toBe(false);
  const failed = said.json.find(({ event }) => event === "failed");
  expect(failed).toMatchObject({ film: "GOT-10k_Val_000001", message: expect.stringMatching(/DATA_INVALID.*frame 2/) });
  expect(said.json.at(-1)).toMatchObject({ films: 1, failed: 1, score: { ao: expect.any(Number) } });
  // A submission has every sequence, also those whose files cannot be read at all.
  await writeFile(path.join(got10k, "val", "GOT-10k_Val_000001", "groundtruth.txt"), "1,1,9,9\n");
  const [results, zip] = [path.join(folder, "results"), path.join(folder, "submission.zip")];
  await expect(track(undefined, { data: "got10k", root: got10k, results, zip })).rejects.toThrow(
    /000001_001.txt is not there, and a submission needs every sequence/,
  );
  // Its message has its name, once.
  expect(said.lines.filter((text) => text.includes("GOT-10k_Val_000001"))).toEqual([
    expect.stringMatching(/^error DATA_INVALID: .*GOT-10k_Val_000001/),
  ]);
});

test("a secret truth and a folder of pictures are followed, and nothing is scored", async () => {
  const { model, folder, got10k } = await stage();
  const secret = await track(model, { data: "got10k", root: got10k, split: "test", out: path.join(folder, "secret") });
  expect(secret.json.at(-1)).toMatchObject({ films: 2, protocol: null, score: null });
  const pictures = path.join(got10k, "val", "GOT-10k_Val_000001");
  const out = path.join(folder, "pictures");
  const said = await track(model, { data: pictures, box: "10,10,20,20", out });
  expect(said.complete).toBe(true);
  const boxes = (await readFile(path.join(out, "GOT-10k_Val_000001.txt"), "utf8")).split("\n");
  expect(boxes[0]).toBe("10.000,10.000,20.000,20.000");
  expect(boxes).toHaveLength(FRAMES + 1);
  // Results of one box are none of another.
  await expect(track(model, { data: pictures, box: "10,10,20,21", out })).rejects.toThrow(/another tracker, box/);
});

test("options that do not go together, and a network that follows nothing, are refused", async () => {
  const { model, got10k } = await stage();
  const data = { data: "got10k", root: got10k };
  await expect(track(undefined, data)).rejects.toThrow(/name a tracker/);
  await expect(track(model, { ...data, results: "x" })).rejects.toThrow(/leave the model out/);
  await expect(track(model, { ...data, box: "1,2,3,4" })).rejects.toThrow(/--box is of a folder/);
  await expect(track(model, { ...data, sequence: ["1"], zip: "x.zip" })).rejects.toThrow(/leave --sequence out/);
  const secret = { ...data, split: "test", protocol: "got10k" } as const;
  await expect(track(model, secret)).rejects.toThrow(/of GOT-10k test none is here: leave it out/);
  const pictures = { data: path.join(got10k, "val", "GOT-10k_Val_000001"), box: "1,2,3,4", protocol: "all" } as const;
  await expect(track(model, pictures)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  await expect(track("nowhere.safetensors", data)).rejects.toMatchObject({ code: "DATA_MISSING" });
});

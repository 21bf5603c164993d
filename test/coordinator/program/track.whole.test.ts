// `coordinator track` with the programs of volunteers: a Deno process that is killed in the middle of a film, and a
// page in headless Chromium.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseResultBoxes } from "../../../coordinator/tracking/result-files.ts";
import { overlapOf } from "../../../shared/tracking/overlap.ts";
import { WorkerProcess } from "../../e2e/worker-process.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { drawnTracker } from "../../fixtures/drawn-tracker.ts";
import { renderTrackingData } from "../../fixtures/tracking-sequences.ts";

const FRAMES = 20;
const names = ["GOT-10k_Val_000001", "GOT-10k_Val_000002"];
let folder: string;
let root: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "bitswarm-track-"));
  root = (await renderTrackingData(folder, { train: 0, test: names.length, frames: FRAMES })).got10k;
  await writeFile(path.join(folder, "tracker.safetensors"), drawnTracker());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const tracked = (out: string, ...more: readonly string[]) => {
  const model = path.join(folder, "tracker.safetensors");
  const data = ["--data", "got10k", "--root", root, "--out", path.join(folder, out)];
  return new CoordinatorProcess(["track", model, ...data, "--port", "0", "--json", "--audit", "0", ...more]);
};

const boxesOf = async (out: string, name: string) =>
  parseResultBoxes(await readFile(path.join(folder, out, name, `${name}_001.txt`), "utf8"), name);

test("A87 a film followed in Deno, killed in its middle and begun anew, has Chromium's boxes within an overlap of .99 a frame", async () => {
  const deno = tracked("deno", "--workers", "0");
  const volunteer = new WorkerProcess(await deno.url(), "deno");
  await deno.printed(/"event":"lent"/);
  process.kill(volunteer.children()[0], "SIGKILL");
  const ended = await deno.exited;
  expect(ended.code, ended.stderr).toBe(0);
  const said = (event: string) => deno.lines().filter((line) => line.event === event);
  const films = (event: string) => said(event).map(({ film }) => String(film));
  const ofFirst = (event: string) => said(event).flatMap(({ film, worker }) => (worker === "w1" ? [String(film)] : []));
  const inHand = ofFirst("lent").filter((film) => !ofFirst("film").includes(film));
  expect(films("lent").sort(), "that film alone starts anew").toEqual([...names, ...inHand].sort());
  expect(films("film").sort()).toEqual(names);
  expect(await volunteer.exited, volunteer.output).toBe(0);

  const browser = await tracked(
    "browser",
    "--workers",
    "1",
    "--runtime",
    "browser",
    "--backend",
    "webgpu",
    "--sequence",
    "1",
  ).exited;
  expect(browser.code, browser.stderr).toBe(0);
  const [one, two] = [await boxesOf("deno", names[0]), await boxesOf("browser", names[0])];
  expect(one).toHaveLength(FRAMES);
  expect(one.map((box, i) => overlapOf(box, two[i])).filter((overlap) => !(overlap >= 0.99))).toEqual([]);
});

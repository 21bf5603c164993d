// What is followed, and what cannot be: each film's fault is its own.

import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { FilmFiles, MOST_FRAME_BYTES } from "../../../coordinator/tracking/film-files.ts";
import { chosenNames, openFilms, parseBox } from "../../../coordinator/tracking/films.ts";
import { isPpm, readPpm } from "../../../shared/image/ppm.ts";
import { frameHashes } from "../../../shared/wire/tracking.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { renderTrackingData } from "../../fixtures/tracking-sequences.ts";

const drawn = async (format: "jpeg" | "png" = "jpeg") =>
  renderTrackingData(await scratchFolder(), { train: 0, test: 2, frames: 6, format });

async function bytesOf(files: FilmFiles, sha256: string): Promise<Uint8Array> {
  const stored = await files.serve(sha256);
  return stored ? new Uint8Array(await new Response(stored.stream()).arrayBuffer()) : new Uint8Array(0);
}

test("a data set's films have their frames, the first box and the truth; the test split's truth is secret", async () => {
  const { got10k, otb, uav123 } = await drawn();
  const val = await openFilms({ data: "got10k", root: got10k });
  expect(val).toMatchObject({ title: "GOT-10k val", layout: "got10k", protocol: "got10k", unfit: [] });
  expect(val.films.map(({ frames }) => frames.length)).toEqual([6, 6]);
  expect(val.films[0].truth?.boxes[0]).toEqual(val.films[0].box);
  const secret = await openFilms({ data: "got10k", root: got10k, split: "test" });
  expect(secret.protocol).toBeUndefined();
  expect(secret.films[0].truth).toBeUndefined();
  expect(await openFilms({ data: "otb", root: otb })).toMatchObject({ layout: "flat", protocol: "all" });
  expect(await openFilms({ data: "uav123", root: uav123 })).toMatchObject({ layout: "flat", protocol: "drop" });
});

test("A83 a film with other counts, a first box that is none, or a missing frame is told with its code, and the others are there", async () => {
  const { got10k } = await drawn();
  const [one, two] = ["GOT-10k_Val_000001", "GOT-10k_Val_000002"].map((name) => path.join(got10k, "val", name));
  const truth = path.join(one, "groundtruth.txt");
  const whole = await readFile(truth, "utf8");
  const unfit = async (text: string) => {
    await writeFile(truth, text);
    const { films, unfit } = await openFilms({ data: "got10k", root: got10k });
    expect(films.map(({ name }) => name)).toEqual([path.basename(two)]);
    return unfit[0].error;
  };
  expect(await unfit(whole.split("\n").slice(1).join("\n"))).toMatchObject({ code: "DATA_INVALID" });
  expect(await unfit(whole.replace(/^.*\n/, "NaN,NaN,NaN,NaN\n"))).toMatchObject({ code: "DATA_INVALID" });
  expect(await unfit(whole.replace(/^.*\n/, "10,10,0,20\n"))).toMatchObject({ code: "DATA_INVALID" });
  await writeFile(truth, whole);
  await rm(path.join(one, "00000003.jpg"));
  expect(await unfit(whole)).toMatchObject({ code: "DATA_MISSING" });
});

test("A71 frames are served by their hash, those of films that were prepared alone", async () => {
  const { got10k } = await drawn();
  const { films } = await openFilms({ data: "got10k", root: got10k });
  const files = new FilmFiles();
  const { frames, box, sequence } = await files.prepare(films[0]);
  expect({ box, sequence }).toEqual({ box: films[0].box, sequence: films[0].name });
  const hashes = frameHashes(frames);
  expect(hashes).toHaveLength(6);
  expect(await bytesOf(files, hashes[2])).toEqual(new Uint8Array(await readFile(films[0].frames[2])));
  const other = new FilmFiles();
  expect(await other.serve(hashes[2])).toBeUndefined();
  expect(await files.serve("../../etc/passwd")).toBeUndefined();
});

test("frames that are no JPEG are served decoded, to the same pixels", async () => {
  const { otb } = await drawn("png");
  const { films } = await openFilms({ data: "otb", root: otb });
  const files = new FilmFiles();
  const { frames } = await files.prepare(films[0]);
  const bytes = await bytesOf(files, frameHashes(frames)[1]);
  expect(isPpm(bytes)).toBe(true);
  const { data, info } = await sharp(films[0].frames[1]).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  expect(readPpm(bytes)).toEqual({ width: info.width, height: info.height, rgb: new Uint8Array(data) });
});

test("a frame of another size, one that ends early, is no picture, is too long or is gone is refused by film and number", async () => {
  const { got10k } = await drawn();
  const { films } = await openFilms({ data: "got10k", root: got10k });
  const [film] = films;
  const frame = film.frames[3];
  const whole = await readFile(frame);
  const refused = async (bytes: Uint8Array) => {
    // A link of other layouts' frames is not to change with it.
    await rm(frame);
    await writeFile(frame, bytes);
    return new FilmFiles().prepare(film).catch((error: Error) => error);
  };
  const other = await sharp(whole).resize(80, 60).jpeg().toBuffer();
  expect(await refused(other)).toMatchObject({ code: "DATA_INVALID", message: expect.stringContaining("frame 4") });
  expect(await refused(whole.subarray(0, whole.length - 40))).toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/frame 4 .*ends early/),
  });
  expect(await refused(Buffer.from("no picture"))).toMatchObject({ code: "DATA_INVALID" });
  expect(await refused(Buffer.alloc(MOST_FRAME_BYTES + 1))).toMatchObject({ code: "DATA_INVALID" });
  await rm(frame);
  expect(await new FilmFiles().prepare(film).catch((error: Error) => error)).toMatchObject({ code: "DATA_MISSING" });
});

test("a folder of pictures is one film in the order of their numbers, and needs a box", async () => {
  const { got10k } = await drawn();
  const folder = path.join(await scratchFolder(), "holiday");
  const source = path.join(got10k, "val", "GOT-10k_Val_000001");
  const names = (await readdir(source)).filter((name) => name.endsWith(".jpg"));
  for (const [i, name] of names.entries()) await cp(path.join(source, name), path.join(folder, `${i + 8}.jpg`));
  const box = parseBox("12,8,30,20.5");
  const { films, protocol } = await openFilms({ data: folder, box });
  expect(protocol).toBeUndefined();
  expect(films.map(({ name }) => name)).toEqual(["holiday"]);
  expect(films[0].frames.map((file) => path.basename(file)).slice(0, 3)).toEqual(["8.jpg", "9.jpg", "10.jpg"]);
  await expect(openFilms({ data: folder })).rejects.toThrow(/needs --box x,y,w,h/);
  await expect(openFilms({ data: path.join(folder, "none"), box })).rejects.toMatchObject({ code: "DATA_MISSING" });
  await expect(openFilms({ data: source, box, root: got10k })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("A88 a box, a sequence or a root that is none is CONFIG_INVALID", async () => {
  for (const text of ["1,2,3", "1,2,3,four", "1,2,3,0", "1,2,-3,4", ",,,", "1,2,3,4,5"]) {
    expect(() => parseBox(text)).toThrow(/--box must be four numbers/);
  }
  expect(chosenNames(["Basketball", "Jogging-1"], ["2", "Jogging.1", "Basketball"])).toEqual([
    "Jogging-1",
    "Jogging-1",
    "Basketball",
  ]);
  expect(() => chosenNames(["Basketball"], ["Biker"])).toThrow(/--sequence Biker is none of the 1 sequences/);
  await expect(openFilms({ data: "otb" })).rejects.toThrow(/needs --root/);
});

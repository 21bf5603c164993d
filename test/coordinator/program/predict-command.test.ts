// Rules of `coordinator predict` and `evaluate`: pictures of any kind in, the same answers out as text, JSON and CSV.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import sharp from "sharp";
import { expect, test } from "vitest";
import { MOST_OTHER_PIXELS } from "../../../coordinator/import/convert/convert-image.ts";
import { pictureDecoder } from "../../../coordinator/import/convert/decode-picture.ts";
import { sharpMissing } from "../../../coordinator/import/convert/vips.ts";
import { isOfPicture } from "../../../coordinator/predict/picture-folder.ts";
import { evaluateCommand } from "../../../coordinator/program/evaluate-command.ts";
import { predictCommand } from "../../../coordinator/program/predict-command.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { rng } from "../../../shared/base/rng.ts";
import { load } from "../../../worker/inference/index.ts";
import { tinyExport } from "../../fixtures/tiny-export.ts";
import { withFolder } from "../../fixtures/tiny-run.ts";

const SIDE = 28;
const model = tinyExport({ kind: "rbcn" });

/** Grey noise of the size that the network sees, drawn from its number. */
function pixelsOf(picture: number): Uint8Array {
  const draws = rng("predict", picture);
  return Uint8Array.from({ length: SIDE * SIDE }, () => draws.below(256));
}

const png = (pixels: Uint8Array) =>
  sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 1 } })
    .png()
    .toBuffer();

/** What a command prints, and what it tells beside it. */
function listener() {
  const printed: string[] = [];
  const told: string[] = [];
  const print = async (text: string) => void printed.push(text);
  return { print, tell: (line: string) => void told.push(line), told, output: () => printed.join("") };
}

interface Line {
  readonly picture: string;
  readonly predictions: readonly { readonly class: number; readonly name: string; readonly probability: number }[];
}

async function predicted(file: string, pictures: readonly string[], options = {}) {
  const { print, tell, told, output } = listener();
  const all = await predictCommand(file, pictures, { top: 5, ...options }, print, tell);
  return { all, told, output: output() };
}

test("X12 a picture's classes are those of the network's logits, as text, JSON and CSV", () =>
  withFolder(async (folder) => {
    const file = join(folder, "model.safetensors");
    await writeFile(file, model);
    const pictures = [0, 1].map((i) => join(folder, `${i}.png`));
    await Promise.all(pictures.map(async (path, i) => writeFile(path, await png(pixelsOf(i)))));
    const { all, output } = await predicted(file, pictures, { json: true });
    expect(all).toBe(true);
    const lines = output
      .trim()
      .split("\n")
      .map((line): Line => JSON.parse(line));
    expect(lines.map(({ picture }) => picture)).toEqual(pictures);
    const running = await load(model);
    for (const [i, { predictions }] of lines.entries()) {
      const logits = [...(await running.logits(pixelsOf(i)))];
      const order = logits.map((_, index) => index).sort((a, b) => logits[b]! - logits[a]!);
      expect(predictions.map((one) => one.class)).toEqual(order.slice(0, 5));
      const sum = logits.reduce((total, value) => total + Math.exp(value), 0);
      for (const one of predictions) expect(one.probability).toBeCloseTo(Math.exp(logits[one.class]!) / sum, 5);
    }
    const [first] = lines;
    const [{ name, probability }] = first!.predictions as readonly [Line["predictions"][number]];
    const percent = `${(100 * probability).toFixed(1)} %`;
    const text = await predicted(file, pictures, { top: 1 });
    expect(text.output.split("\n")[0]).toBe(`${pictures[0]}: ${name} ${percent}`);
    const csv = await predicted(file, pictures, { top: 2, csv: true });
    const rows = csv.output.trim().split("\n");
    expect(rows).toHaveLength(5);
    expect(rows.slice(0, 2)).toEqual([
      "picture,rank,class,name,probability",
      `${pictures[0]},1,${name},${name},${probability}`,
    ]);
  }));

test("X12 predict turns a photograph as its EXIF says, of any kind and in every direction; evaluate does not", () =>
  withFolder(async (folder) => {
    const file = join(folder, "model.safetensors");
    await writeFile(file, model);
    const raw = { raw: { width: SIDE, height: SIDE, channels: 1 as const } };
    const [plain, own] = await Promise.all([pictureDecoder(), pictureDecoder({ turned: true })]);
    // Each is what a decoder of another make takes its EXIF for.
    for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
      for (const kind of ["jpeg", "png", "webp", "tiff"] as const) {
        const lossless = kind === "webp" ? { lossless: true } : {};
        const narrow = sharp(pixelsOf(3), raw).extract({ left: 0, top: 0, width: SIDE, height: 20 });
        const bytes = await narrow.toFormat(kind, lossless).withMetadata({ orientation }).toBuffer();
        const image = await own(bytes);
        const turned = sharp(bytes).autoOrient().removeAlpha().toColourspace("srgb").raw();
        const { data, info } = await turned.toBuffer({ resolveWithObject: true });
        expect([image.width, image.height], `${kind} ${orientation}`).toEqual([info.width, info.height]);
        const grey = image.rgb.filter((_, i) => i % 3 === 0);
        const expected = Uint8Array.from(data).filter((_, i) => i % info.channels === 0);
        const off = expected.map((value, i) => Math.abs(value - grey[i]!));
        expect(Math.max(...off), `${kind} ${orientation}`).toBeLessThanOrEqual(kind === "jpeg" ? 2 : 0);
        expect(await plain(bytes)).toMatchObject({ width: SIDE, height: 20 });
      }
    }
    const [lying, upright] = [join(folder, "lying.png"), join(folder, "upright.png")];
    await writeFile(lying, await sharp(pixelsOf(4), raw).png().withMetadata({ orientation: 6 }).toBuffer());
    await writeFile(upright, await sharp(pixelsOf(4), raw).rotate(90).png().toBuffer());
    const [one, other] = (await predicted(file, [lying, upright], { json: true })).output.trim().split("\n");
    expect(JSON.parse(one!).predictions).toEqual(JSON.parse(other!).predictions);
  }));

test("X12 predict takes a transparent picture's colours as they stand, as bitswarm/inference does", () =>
  withFolder(async (folder) => {
    const file = join(folder, "model.safetensors");
    await writeFile(file, model);
    const data = Uint8Array.from({ length: 4 * SIDE * SIDE }, (_, i) => (i % 4 === 3 ? (i * 7) % 256 : (i * i) % 251));
    const picture = join(folder, "transparent.png");
    await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 4 } })
      .png()
      .toFile(picture);
    const [line] = (await predicted(file, [picture], { json: true })).output.trim().split("\n");
    const own = await (await load(model)).predict({ data, width: SIDE, height: SIDE });
    expect(JSON.parse(line!).predictions).toEqual(
      own.map(({ index, label, probability }) => ({ class: index, name: label, probability })),
    );
  }));

test("a picture that cannot be read is told, and the others are predicted", () =>
  withFolder(async (folder) => {
    const file = join(folder, "model.safetensors");
    await writeFile(file, model);
    const [good, damaged, missing] = ["good.png", "damaged.png", "missing.png"].map((name) => join(folder, name));
    const bytes = await png(pixelsOf(0));
    await writeFile(good!, bytes);
    await writeFile(damaged!, bytes.subarray(0, 60));
    const { all, told, output } = await predicted(file, [damaged!, missing!, folder, good!], { json: true });
    expect(all).toBe(false);
    const lines = output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map(({ code }) => code)).toEqual(["DATA_INVALID", "DATA_MISSING", "DATA_INVALID", undefined]);
    expect(told).toHaveLength(3);
    expect(lines[1]).toEqual({ picture: missing, code: "DATA_MISSING", error: `${missing} is not there` });
    expect(told[1]).toBe(`${missing}: error DATA_MISSING: ${missing} is not there`);
  }));

test("a picture of more pixels than are decoded is told with its size and the limit, before it is decoded", () =>
  withFolder(async (folder) => {
    const [file, picture] = [join(folder, "model.safetensors"), join(folder, "vast.png")];
    await writeFile(file, model);
    const bytes = await png(pixelsOf(0));
    bytes.writeUInt32BE(9000, 16);
    bytes.writeUInt32BE(9000, 20);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
    await writeFile(picture, bytes);
    const { told } = await predicted(file, [picture]);
    expect(told[0]).toContain(`its header says 9000 × 9000 pixels; at most ${MOST_OTHER_PIXELS} are decoded`);
  }));

test("without sharp a picture that wants it is told what to install, as its own error", () => {
  const missing = sharpMissing(
    "reads PNG, WebP and the like",
    Object.assign(new Error("x"), { code: "ERR_MODULE_NOT_FOUND" }),
  );
  expect(missing.message).toBe("sharp, which reads PNG, WebP and the like, is not installed: npm install sharp");
  expect(isOfPicture(missing)).toBe(true);
  expect(isOfPicture(new BitswarmError("DEVICE_LOST", "gone"))).toBe(false);
  expect(sharpMissing("encodes images", new Error("no build\nfor this machine")).message).toBe(
    "sharp, which encodes images, cannot be loaded (no build): npm install sharp",
  );
});

test("X12 evaluate counts, class by class, what predict says of the same pictures", () =>
  withFolder(async (folder) => {
    const file = join(folder, "model.safetensors");
    await writeFile(file, model);
    const [photos, count] = [join(folder, "photos"), 40];
    const pictures: string[] = [];
    for (let i = 0; i < count; i++) {
      const inside = join(photos, "val", String(i % 4));
      await mkdir(inside, { recursive: true });
      pictures.push(join(inside, `${i}.png`));
      await writeFile(pictures[i]!, await png(pixelsOf(i)));
    }
    const { output } = await predicted(file, pictures, { json: true });
    const answers = output
      .trim()
      .split("\n")
      .map((line): Line => JSON.parse(line));
    const rightOf = (label: number) =>
      answers.filter(({ predictions }, i) => i % 4 === label && predictions[0]!.class === label).length;
    const right = [0, 1, 2, 3].map(rightOf);
    const amongFive = answers.filter(({ predictions }, i) => predictions.some((one) => one.class === i % 4)).length;
    // Else this would compare nothing with nothing.
    expect(right.reduce((a, b) => a + b)).toBeGreaterThan(0);

    const evaluated = async (options: object) => {
      const { print, tell, output: told } = listener();
      await evaluateCommand(file, { data: photos, ...options }, print, tell);
      return told();
    };
    const json = JSON.parse(await evaluated({ json: true }));
    expect(json).toMatchObject({
      run: "tiny-run",
      samples: count,
      score: { name: "accuracy", value: right.reduce((a, b) => a + b) / count },
      top5: amongFive / count,
    });
    expect(json.classes.slice(0, 4)).toEqual(
      right.map((one, label) => ({ class: label, name: String(label), samples: count / 4, right: one })),
    );
    const csv = (await evaluated({ csv: true })).trim().split("\n");
    expect(csv).toHaveLength(11);
    expect(csv[1]).toBe(`0,0,${count / 4},${right[0]}`);
    const text = await evaluated({});
    expect(text).toContain(`accuracy ${((100 * right.reduce((a, b) => a + b)) / count).toFixed(2)} %`);
    expect(text).toMatch(new RegExp(`\\n  0 +[\\d.]+ %  ${right[0]} of ${count / 4}\\n`));

    // What is no picture by its name is passed over; what is damaged is told, and counts nowhere.
    await writeFile(join(photos, "val", "1", "notes.txt"), "two of them are blurred");
    const damaged = join(photos, "val", "1", "damaged.png");
    await writeFile(damaged, (await png(pixelsOf(0))).subarray(0, 60));
    const { print, tell, told, output: printed } = listener();
    expect(await evaluateCommand(file, { data: photos, json: true }, print, tell)).toBe(false);
    expect(told).toEqual([
      `passed over, as no pictures by their names: 1 ("1/notes.txt")`,
      expect.stringMatching(/damaged\.png: error DATA_INVALID: it cannot be decoded/),
      `1 of ${count + 1} pictures could not be read, and count nowhere`,
    ]);
    const { unread, ...rest } = JSON.parse(printed());
    expect(unread).toEqual([
      { picture: expect.stringMatching(/damaged\.png$/), code: "DATA_INVALID", error: expect.any(String) },
    ]);
    expect(rest).toEqual({ ...json, seconds: expect.any(Number) });
  }));

test("options that exclude each other, and files that are no models, are refused before anything is computed", () =>
  withFolder(async (folder) => {
    const file = join(folder, "model.safetensors");
    await writeFile(file, model.subarray(0, 1000));
    const code = (expected: string) => ({ code: expected });
    await expect(predicted(file, ["x"], { json: true, csv: true })).rejects.toMatchObject(code("CONFIG_INVALID"));
    await expect(predicted(file, ["x"])).rejects.toMatchObject(code("SAFETENSORS_INVALID"));
    await expect(predicted(join(folder, "none"), ["x"])).rejects.toMatchObject(code("DATA_MISSING"));
    await writeFile(file, model);
    await expect(predicted(file, ["x"], { network: "teacher" })).rejects.toMatchObject(code("CONFIG_INVALID"));
    await expect(predicted(folder, ["x"])).rejects.toMatchObject(code("CHECKPOINT_MISSING"));
    const step = join(folder, "my run", "checkpoints", "step-36");
    await mkdir(step, { recursive: true });
    await expect(predicted(step, ["x"])).rejects.toMatchObject({
      code: "CHECKPOINT_MISSING",
      message: `${step} is one checkpoint of a run; give the run's folder, '${join(folder, "my run")}', and its newest is taken`,
    });
  }));

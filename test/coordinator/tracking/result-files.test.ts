// Files of results, as toolkits write and read them.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { unzipSync } from "fflate";
import { expect, test } from "vitest";
import {
  boxesText,
  framesPerSecond,
  MOST_RESULT_BYTES,
  parseResultBoxes,
  readResult,
  resultPaths,
  writeResult,
} from "../../../coordinator/tracking/result-files.ts";
import { writeSubmission } from "../../../coordinator/tracking/submission.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const frames = [
  { box: { x: 1, y: 2.00049, w: 30, h: 40 }, seconds: 0.25 },
  { box: { x: -1.5, y: 2, w: 31.0005, h: 40 }, seconds: 0.5 },
];

test("A80 boxes have three decimals and times eight, where each toolkit looks for them", async () => {
  const folder = await scratchFolder();
  await writeResult(folder, "got10k", "GOT-10k_Val_000001", frames);
  await writeResult(folder, "flat", "Jogging-1", frames);
  const read = (file: string) => readFile(path.join(folder, file), "utf8");
  const boxes = "1.000,2.000,30.000,40.000\n-1.500,2.000,31.000,40.000\n";
  expect(await read("GOT-10k_Val_000001/GOT-10k_Val_000001_001.txt")).toBe(boxes);
  expect(await read("GOT-10k_Val_000001/GOT-10k_Val_000001_time.txt")).toBe("0.25000000\n0.50000000\n");
  expect(await read("Jogging-1.txt")).toBe(boxes);
  expect(await read("times/Jogging-1_time.txt")).toBe("0.25000000\n0.50000000\n");
});

test("what was written is read again, by any spelling of a name; where nothing is, there are none", async () => {
  const folder = await scratchFolder();
  await writeResult(folder, "flat", "Jogging.1", frames);
  const found = await readResult(folder, "flat", ["Jogging-1", "Jogging.1", "Jogging_1"], 2);
  expect(found?.repetitions).toEqual([parseResultBoxes(boxesText(frames.map(({ box }) => box)), "")]);
  expect(found?.seconds).toEqual([0.25, 0.5]);
  expect(framesPerSecond(found?.seconds ?? [])).toBe(3);
  expect(await readResult(folder, "flat", ["Basketball"], 2)).toBeUndefined();
});

test("repetitions of a stochastic tracker are read one after the other", async () => {
  const folder = await scratchFolder();
  await mkdir(path.join(folder, "SEQ"));
  for (const n of [2, 1]) {
    const { boxes } = resultPaths("got10k", "SEQ", n);
    await writeFile(path.join(folder, boxes), boxesText([{ x: n, y: 1, w: 1, h: 1 }]));
  }
  const found = await readResult(folder, "got10k", ["SEQ"], 1);
  expect(found?.repetitions.map(([{ x }]) => x)).toEqual([1, 2]);
});

test("numbers of a line may stand between commas, tabs or blanks, and be NaN; others are refused by file and line", () => {
  expect(parseResultBoxes("1,2,3,4\r\n5\t6  7 8 \n\n", "a")).toEqual([
    { x: 1, y: 2, w: 3, h: 4 },
    { x: 5, y: 6, w: 7, h: 8 },
  ]);
  expect(parseResultBoxes("NaN,nan,NaN,NaN\n", "a")[0].x).toBeNaN();
  for (const text of ["1,2,3\n", "1,2,3,4,5\n", "1,2,three,4\n"]) {
    expect(() => parseResultBoxes(`1,2,3,4\n${text}`, "a.txt")).toThrow(/a\.txt, line 2: four numbers are due/);
  }
});

test("as many boxes as frames are due, and a file of results has a limit", async () => {
  const folder = await scratchFolder();
  await writeResult(folder, "flat", "A", frames);
  await expect(readResult(folder, "flat", ["A"], 3)).rejects.toThrow(/has 2 boxes and A 3 frames/);
  await writeFile(path.join(folder, "B.txt"), Buffer.alloc(MOST_RESULT_BYTES + 1, 0x0a));
  await expect(readResult(folder, "flat", ["B"], 3)).rejects.toMatchObject({ code: "DATA_INVALID" });
});

test("A86 a submission has in its root a folder a sequence with boxes and times, and every sequence or none", async () => {
  const folder = await scratchFolder();
  const zip = path.join(folder, "submission.zip");
  await writeResult(folder, "got10k", "GOT-10k_Test_000001", frames);
  await writeSubmission(zip, folder, "got10k", ["GOT-10k_Test_000001"]);
  const entries = unzipSync(new Uint8Array(await readFile(zip)));
  expect(Object.keys(entries).sort()).toEqual([
    "GOT-10k_Test_000001/GOT-10k_Test_000001_001.txt",
    "GOT-10k_Test_000001/GOT-10k_Test_000001_time.txt",
  ]);
  await expect(writeSubmission(zip, folder, "got10k", ["GOT-10k_Test_000001", "GOT-10k_Test_000002"])).rejects.toThrow(
    /GOT-10k_Test_000002_001\.txt is not there/,
  );
});

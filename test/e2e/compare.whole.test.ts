// A comparison with nothing replaced: the built programs, a volunteer's Deno process that stays over runs and a kill,
// Fashion-MNIST, and the page of the results in Chromium.

import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer";
import { expect, onTestFinished, test } from "vitest";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { patientPage } from "../fixtures/patient-page.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

const TIMEOUT_MS = 300_000;

const plan = {
  name: "two",
  base: {
    model: { widths: [4, 8, 16] },
    data: { trainSamples: 256, testSamples: 64 },
    batch: 32,
    microbatch: 16,
    epochs: 1,
    checkpoint: { everySteps: 2 },
  },
  methods: [
    { name: "BNN", set: { "method.kind": "bnn" } },
    { name: "XNOR-Net", set: { "method.kind": "xnor" } },
  ],
};

/** Resolves when a file has a text. */
async function written(file: string, text: string): Promise<void> {
  while (!(await readFile(file, "utf8").catch(() => "")).includes(text)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const WIDTHS = [1200, 800];

/** What a page shows and asks for in a scheme of colours. */
async function visit(file: string, scheme: "light" | "dark") {
  const browser = await puppeteer.launch({
    executablePath: findChromium(),
    args: chromiumArguments({ software: true, headless: true }),
    pipe: true,
  });
  onTestFinished(() => browser.close());
  const page = await patientPage(browser);
  const asked: string[] = [];
  const errors: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(pathToFileURL(file).href);
  const shown = await page.evaluate(`({
    ground: getComputedStyle(document.body).backgroundColor,
    rows: [...document.querySelector("tbody").rows].map((row) => row.cells[0].textContent),
    charts: [...document.querySelectorAll("svg[role=img]")].map((svg) => svg.getBoundingClientRect().width > 100),
    line: getComputedStyle(document.querySelector(".line")).strokeWidth,
  })`);
  // Nothing is cut: the page is no wider than its window, and what a table has too much is scrolled to in its box.
  const cut: unknown[] = [];
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: 900 });
    const wide = await page.evaluate(`[document.documentElement, ...document.querySelectorAll(".wide")].map(
      (box) => box.scrollWidth > box.clientWidth)`);
    cut.push(...(wide as unknown[]).filter(Boolean));
  }
  return { asked, errors, cut, shown: shown as Record<string, unknown> };
}

test(
  "a plan goes on after kill -9 with the run in hand, its volunteer comes back to each run, and nothing is run twice",
  async () => {
    const folder = await scratchFolder();
    const file = join(folder, "two.plan.yaml");
    const out = join(folder, "out");
    // YAML has JSON in it.
    await writeFile(file, JSON.stringify(plan));
    const compare = (port: string) =>
      new CoordinatorProcess(["compare", file, "--out", out, "--workers", "0", "--port", port, "--json"]);
    const first = compare("0");
    const url = await first.url();
    const volunteer = new WorkerProcess(url, "deno");
    await first.printed(/"event":"cell","cell":"BNN-s0","outcome":"finished"/);
    const done = join(out, "cells", "BNN-s0", "cell.json");
    const before = await stat(done);
    await written(join(out, "cells", "XNOR-Net-s0", "commits.ndjson"), '"type":"step","step":3');
    first.child.kill("SIGKILL");
    await first.exited;

    // The link is what it was, so the volunteer finds it again.
    const second = compare(new URL(url).port);
    expect(await second.url()).toBe(url);
    await succeeded(second);
    expect(second.lines()).toMatchObject([
      { event: "cell", cell: "XNOR-Net-s0", outcome: "finished" },
      { event: "done", cells: 2, done: 2 },
    ]);
    expect((await stat(done)).mtimeMs).toBe(before.mtimeMs);
    const events = await readFile(join(out, "cells", "XNOR-Net-s0", "events.ndjson"), "utf8");
    expect(events).toMatch(/"type":"resumed","step":[2-9]/);
    expect(await volunteer.exited).toBe(0);
    expect(volunteer.output).toContain("the last of 8 steps of XNOR-Net-s0 is done");

    const third = compare("0");
    await succeeded(third);
    expect(third.lines()).toMatchObject([{ event: "done", cells: 2, done: 2 }]);
    expect(third.stderr).toMatch(/BNN +\d+\.\d\d +1 /);

    const report = JSON.parse(await readFile(join(out, "compare.json"), "utf8"));
    expect(report.methods.map((one: { readonly score: { readonly n: number } }) => one.score.n)).toEqual([1, 1]);
    expect(report.results.map((one: { readonly steps: number }) => one.steps)).toEqual([8, 8]);
    expect((await readFile(join(out, "compare.csv"), "utf8")).trim().split("\r\n")).toHaveLength(3);
    const page = join(out, "compare.html");
    const [light, dark] = [await visit(page, "light"), await visit(page, "dark")];
    for (const { asked, errors, cut, shown } of [light, dark]) {
      expect(errors).toEqual([]);
      expect(cut).toEqual([]);
      expect(asked).toEqual([pathToFileURL(page).href]);
      expect(shown).toMatchObject({ rows: ["BNN", "XNOR-Net"], charts: [true, true, true], line: "2px" });
    }
    expect(light.shown.ground).not.toBe(dark.shown.ground);
  },
  TIMEOUT_MS,
);

// The report of a tracker as people look at it: in a browser, on a telephone and on a desk.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer";
import { expect, onTestFinished, test } from "vitest";
import { trackReport } from "../../../coordinator/tracking/report.ts";
import { type ScoredFilm, scoreTracks } from "../../../coordinator/tracking/track-score.ts";
import { chromiumArguments, findChromium } from "../../../worker/platform/node/chromium.ts";
import { axeViolations } from "../../fixtures/axe-run.ts";
import { patientPage } from "../../fixtures/patient-page.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const FRAMES = 60;
/** Pixels across a telephone, and a desk. */
const WIDTHS = [420, 1280];

const truth = Array.from({ length: FRAMES }, (_, i) => ({ x: 10 + i, y: 10, w: 20, h: 20 }));
const film = (name: string): ScoredFilm => ({
  name,
  truth,
  results: {
    repetitions: [truth.map((box, i) => ({ ...box, x: box.x + (i % 30) / 2 }))],
    seconds: truth.map(() => 0.01),
  },
  resolution: { width: 320, height: 240 },
  objectClass: "target",
});

test("A90 a report of either kind of score fits a telephone and a desk, and axe finds nothing wrong with it", async () => {
  const folder = await scratchFolder();
  const args = chromiumArguments({ software: true, headless: true });
  const browser = await puppeteer.launch({ executablePath: findChromium(), args, pipe: true });
  onTestFinished(() => browser.close());
  const page = await patientPage(browser);
  const films = ["GOT-10k_Val_000001", "GOT-10k_Val_000002"].map(film);
  for (const protocol of ["got10k", "drop"] as const) {
    const title = "GOT-10k val: 1-bit network of rbsf-20250131-154501-3fa9, step 300";
    const facts = {
      title,
      data: "GOT-10k val",
      failed: [{ film: "GOT-10k_Val_000003", message: "error DATA_MISSING" }],
    };
    const file = join(folder, `${protocol}.html`);
    await writeFile(file, trackReport(facts, scoreTracks(films, protocol)));
    for (const width of WIDTHS) {
      await page.setViewport({ width, height: 900 });
      await page.goto(pathToFileURL(file).href);
      // Past the right edge of the page, or of the box of a table.
      const past = await page.evaluate(() =>
        [document.documentElement, ...document.querySelectorAll(".wide")].map(
          ({ scrollWidth, clientWidth }) => scrollWidth - clientWidth,
        ),
      );
      expect(Math.max(...past), `${protocol} at ${width}`).toBe(0);
    }
    expect(await axeViolations(page)).toEqual([]);
  }
});

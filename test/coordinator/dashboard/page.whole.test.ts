// The dashboard in a real browser: what its charts and its table hold, what its buttons do to a run, and what is left
// to see once the run is over.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { chromiumArguments, findChromium } from "../../../worker/platform/node/chromium.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { patientPage } from "../../fixtures/patient-page.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser: Browser;
beforeAll(async () => {
  const args = chromiumArguments({ software: true, headless: true });
  browser = await puppeteer.launch({ executablePath: findChromium(), args, pipe: true });
});
afterAll(() => browser?.close());

interface Visit {
  readonly page: Page;
  /** Errors of the page and its console, what its policy forbids among them, and requests to other hosts. */
  readonly errors: readonly string[];
  /** Waits until an expression holds in the page. */
  until(expression: string): Promise<void>;
  text(selector: string): Promise<string>;
  press(label: string): Promise<void>;
  /** What axe-core finds, as the page is shown now. */
  violations(): Promise<string[]>;
}

async function visit(url: string): Promise<Visit> {
  const context = await browser.createBrowserContext();
  const page = await patientPage(context);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host) errors.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  const until = async (expression: string) => {
    await page.waitForFunction(expression);
  };
  await until("document.documentElement.dataset.line === 'up'");
  return {
    page,
    errors,
    until,
    text: (selector) => page.$eval(selector, (node) => node.textContent ?? ""),
    press: async (label) => {
      await until(
        `[...document.querySelectorAll("button")].some((one) => one.textContent === ${JSON.stringify(label)} && !one.disabled)`,
      );
      await page.$$eval(
        "button",
        (buttons, wanted) => buttons.find(({ textContent }) => textContent === wanted)?.click(),
        label,
      );
    },
    violations: async () => {
      await page.evaluate(axe);
      const found = (await page.evaluate("axe.run()")) as {
        violations: { id: string; nodes: { html: string }[] }[];
      };
      return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
    },
  };
}

const newest = (chart: string) => `document.querySelector('[data-chart="${chart}"] .plot')?.getAttribute("aria-label")`;

test("the charts hold what the run wrote, buttons do what they say, and every state is accessible", async () => {
  const started = await startTestRun({ config: { lease: { maxMicrobatches: 1 }, checkpoint: { everySteps: 1000 } } });
  const { dashboardToken, operatorToken } = started.run.directory;
  const { page, errors, until, text, press, violations } = await visit(
    started.coordination.server.linkTo("dashboard", dashboardToken),
  );
  const [one, two] = [await started.connect().join(), await started.connect().join()];
  let held = await two.lease();
  const step = async () => {
    for (let i = 0; i < 3; i++) await one.answer(await one.lease());
    await two.answer(held);
  };
  await step();
  held = await two.lease();
  // The loss and the table, of the step that was made.
  const [{ loss }] = started.jsonLines.map((line) => JSON.parse(line));
  await until(`${newest("loss")}?.includes("task ${Number(loss.task.toPrecision(4))}")`);
  await until(`${newest("workers")}?.includes("workers 2")`);
  await until(`document.querySelector('[data-worker="w1"]')?.textContent.includes("48")`);
  expect(await text('[data-worker="w2"]')).toMatch(/computing|stalled/);
  expect(await page.$eval(".strip", (node) => node.getAttribute("aria-label"))).toMatch(/256 samples: 25\s% committed/);
  // A chart is drawn, and not only told of.
  const painted = await page.$eval('[data-chart="loss"] canvas', (node) => {
    const canvas = node as HTMLCanvasElement;
    const pixels = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
    return pixels.some((value) => value > 0);
  });
  expect(painted).toBe(true);
  expect(await violations()).toEqual([]);
  // Nobody may do anything before the operator's token was shown.
  expect(await page.$$eval("button", (all) => all.map((one) => one.textContent))).not.toContain("Pause");
  await page.type("input[type=password]", "wrong");
  await press("Unlock");
  await until(`document.querySelector(".said").textContent.includes("not the operator's")`);
  await page.type("input[type=password]", operatorToken);
  await press("Unlock");
  await press("Pause");
  await step();
  await until(`document.querySelector(".reason").textContent.includes("paused")`);
  await until(`document.querySelector(".facts").textContent.includes("Statepaused")`);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await page.setViewport({ width: 390, height: 844 });
  expect(await violations()).toEqual([]);
  await press("Checkpoint now");
  await until(`document.body.textContent.includes("Newest checkpoint: step 2.")`);
  await press("Go on");
  const lease = await one.lease();
  expect(lease.step).toBe(2);
  await page.click('[data-worker="w1"] .drain');
  await until(`document.querySelector(".said").textContent.includes("w1 finishes")`);
  await one.answer(lease);
  expect(await one.next("error")).toMatchObject({ code: "WORKER_DRAINED" });
  await until(`!document.querySelector('[data-worker="w1"]')`);
  held = await two.lease();
  await press("Stop after step");
  await press("Yes, stop");
  await until(`document.querySelector(".facts").textContent.includes("stopping")`);
  await two.answer(held);
  for (let i = 0; i < 2; i++) await two.answer(await two.lease());
  expect(await started.coordination.done).toMatchObject({ finished: false, step: 3 });
  await until("document.documentElement.dataset.line !== 'up'");
  // Resumed at its port, it has another operator's token: the page asks for that one, and says nothing of before.
  const port = Number(new URL(started.coordination.server.url).port);
  const resumed = await startTestRun({ open: await reopenRun(started.run.directory.path), port });
  await until("document.documentElement.dataset.line === 'up'");
  await until(`document.querySelector(".said").textContent.includes("another operator's token")`);
  await page.type("input[type=password]", resumed.run.directory.operatorToken);
  await press("Unlock");
  await press("Pause");
  await until(`document.querySelector(".said").textContent.includes("pauses")`);
  resumed.coordination.stop();
  await resumed.coordination.done;
  // That the coordinator is gone is no error of the page's.
  expect(errors.filter((error) => !/WebSocket connection|ERR_CONNECTION/.test(error))).toEqual([]);
  // The run, which nobody drives now, is there from its folder.
  const lone = new CoordinatorProcess(["dashboard", started.run.directory.path, "--port", "0"]);
  const later = await visit(await lone.url());
  await later.until(`${newest("loss")}?.includes("newest: ")`);
  expect(await later.text(".facts")).toContain("3 of");
  expect(await later.text(".line")).toContain("folder");
  expect(await later.text(".events")).toContain("w1 left (WORKER_DRAINED");
  expect(await later.page.$$("input[type=password]")).toEqual([]);
  expect(await later.violations()).toEqual([]);
  expect(later.errors).toEqual([]);
  lone.child.kill("SIGINT");
  expect(await lone.exited).toMatchObject({ code: 0 });
});

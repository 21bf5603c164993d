// The demo as people meet it: from the page of a run that is over, and from a folder on any web server.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Page } from "puppeteer";
import sharp from "sharp";
import { expect, onTestFinished, test } from "vitest";
import { writeDemo } from "../../../coordinator/demo/demo-folder.ts";
import { axeViolations } from "../../fixtures/axe-run.ts";
import { visitPage } from "../../fixtures/page-visit.ts";
import { scratchFolder, startTestRun } from "../../fixtures/test-run.ts";

/** What each network says, once all of them say something. */
async function answers(page: Page): Promise<string[]> {
  await page.waitForFunction(() => {
    const said = [...document.querySelectorAll(".answer")].map((one) => one.textContent);
    return said.length > 0 && said.every((text) => text !== "–");
  });
  return page.$$eval(".answer", (all) => all.map((one) => one.textContent ?? ""));
}

async function draw(page: Page): Promise<void> {
  const box = (await (await page.$("#pad"))!.boundingBox())!;
  const at = (x: number, y: number) => [box.x + x * box.width, box.y + y * box.height] as const;
  await page.mouse.move(...at(0.3, 0.2));
  await page.mouse.down();
  for (const [x, y] of [
    [0.7, 0.2],
    [0.5, 0.5],
    [0.4, 0.85],
  ])
    await page.mouse.move(...at(x, y), { steps: 4 });
  await page.mouse.up();
}

const answer = /^\d, (> )?\d+(\.\d)? %$/;

test("X40 a volunteer's page of a run that is over leads to the demo, which says of a drawing what the network and its teacher see", async () => {
  const run = await startTestRun({ linger: true });
  const { page, state, errors } = await visitPage(`${run.straightUrl}&tune=0`);
  await page.click("#start");
  await state("ended");
  const link = await page.waitForSelector("#result #demo");
  const address = await link!.evaluate((node) => (node as HTMLAnchorElement).href);

  await page.goto(address);
  await page.waitForSelector("html[data-state=ready]");
  await draw(page);
  expect(await answers(page)).toEqual([expect.stringMatching(answer), expect.stringMatching(answer)]);
  expect(await page.$$eval(".network h2", (all) => all.map((one) => one.textContent))).toEqual([
    "1-bit network",
    "teacher",
  ]);
  const colours = await page.$eval("[id^=signs-]", (node) => {
    const { width, height } = node as HTMLCanvasElement;
    const { data } = (node as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, width, height);
    return new Set(Array.from({ length: width * height }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
  });
  expect(colours).toBe(3);
  expect(await axeViolations(page)).toEqual([]);
  await page.click("#clear");
  await page.waitForFunction(() => [...document.querySelectorAll(".answer")].every((one) => one.textContent === "–"));

  // Whoever looks on is led there, too, and asked for no token: nothing is left to act on. A slash more is no matter.
  const { server: lingering } = run.coordination;
  await page.goto(lingering.linkTo("dashboard", run.run.directory.dashboardToken));
  const lead = await page.waitForSelector("#demo");
  const whole = await page.evaluate(() => document.body.textContent);
  expect(whole).toContain("The run is over: nothing is left to do here.");
  expect(whole).not.toMatch(/\bLive\b|Unlock/);
  expect(await axeViolations(page)).toEqual([]);
  const to = await lead!.evaluate((node) => (node as HTMLAnchorElement).href);
  await page.goto(to.replace("/demo?", "/demo/?"));
  await page.waitForSelector("html[data-state=ready]");
  expect(page.url()).toBe(to);

  const folder = join(await scratchFolder(), "demo");
  await writeDemo(run.run.directory.path, folder);
  const server = createServer(async (request, response) => {
    const path = (request.url ?? "").replace(/^\/some\/where\//, "").replace(/^$/, "index.html");
    const types: Readonly<Record<string, string>> = {
      html: "text/html",
      js: "text/javascript",
      css: "text/css",
      svg: "image/svg+xml",
    };
    const bytes = await readFile(join(folder, path)).catch(() => undefined);
    const type = types[path.split(".").at(-1) ?? ""] ?? "application/octet-stream";
    response.writeHead(bytes === undefined ? 404 : 200, { "content-type": type }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const asked: string[] = [];
  page.on("request", (request) => asked.push(new URL(request.url()).host));
  const { port } = server.address() as AddressInfo;
  await page.goto(`http://127.0.0.1:${port}/some/where/`);
  await page.waitForSelector("html[data-state=ready]");
  const picture = join(await scratchFolder(), "shirt.png");
  await sharp({ create: { width: 60, height: 40, channels: 3, background: "#fff" } })
    .png()
    .toFile(picture);
  await page.click("input[value=file]");
  const field = await page.waitForSelector("#file");
  await (field as Awaited<ReturnType<typeof page.$<"input">>>)!.uploadFile(picture);
  expect(await answers(page)).toHaveLength(2);
  expect(await page.$eval("#seen", (node) => node.getAttribute("aria-label"))).toContain("28 by 28 pixels");
  expect(new Set(asked)).toEqual(new Set([`127.0.0.1:${port}`]));
  expect(errors).toEqual([]);
});

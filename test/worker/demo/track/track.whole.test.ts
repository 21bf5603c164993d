// The page that follows, as people meet it: in a folder on any web server, before a camera and with a film.

import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import puppeteer, { type Page } from "puppeteer";
import { expect, onTestFinished, test } from "vitest";
import { writeDemo } from "../../../../coordinator/demo/demo-folder.ts";
import { chromiumArguments, findChromium } from "../../../../worker/platform/node/chromium.ts";
import { axeViolations } from "../../../fixtures/axe-run.ts";
import { FILM, lightFilm } from "../../../fixtures/light-film.ts";
import { patientPage } from "../../../fixtures/patient-page.ts";
import { scratchFolder } from "../../../fixtures/test-run.ts";
import { write } from "../../../fixtures/tiny-checkpoint.ts";
import { madeTracker } from "../../../fixtures/tiny-tracker.ts";

const types: Readonly<Record<string, string>> = {
  html: "text/html",
  js: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
};

/** Serves a folder below a path. */
async function served(folder: string): Promise<string> {
  const server = createServer(async (request, response) => {
    const path = (request.url ?? "").replace(/^\/some\/where\//, "").replace(/^$/, "index.html");
    const bytes = await readFile(join(folder, path)).catch(() => undefined);
    const type = types[path.split(".").at(-1) ?? ""] ?? "application/octet-stream";
    response.writeHead(bytes === undefined ? 404 : 200, { "content-type": type }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const phase = (page: Page, text: string) =>
  page.waitForFunction((wanted) => document.querySelector("#phase")?.textContent?.includes(wanted), {}, text);

interface Middle {
  readonly x: number;
  readonly y: number;
}

/** The middle of what is light on the stage; boxes drawn on it are coloured. */
function lightMiddle(): Middle {
  const stage = document.querySelector("#stage") as HTMLCanvasElement;
  const { width, height } = stage;
  const { data } = stage.getContext("2d")!.getImageData(0, 0, width, height);
  let [count, x, y] = [0, 0, 0];
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = data.subarray(4 * i, 4 * i + 3);
    if (Math.min(r!, g!, b!) < 190) continue;
    count++;
    x += i % width;
    y += Math.floor(i / width);
  }
  return { x: x / count, y: y / count };
}

/** Waits until every network's box is about what is light, and that has moved. */
async function followed(page: Page, from: Middle): Promise<void> {
  await page.waitForFunction(
    (start: Middle, most: number) => {
      const light = (globalThis as unknown as { readonly lightMiddle: () => Middle }).lightMiddle();
      const boxes = [...document.querySelectorAll(".network")].map((network) =>
        /(\d+) × (\d+) pixels at (-?\d+), (-?\d+)/
          .exec(network.textContent ?? "")
          ?.slice(1)
          .map(Number),
      );
      return (
        Math.abs(light.x - start.x) > 12 &&
        boxes.length === 2 &&
        boxes.every((box) => {
          if (!box) return false;
          const [w, h, x, y] = box as [number, number, number, number];
          return Math.hypot(x + w / 2 - light.x, y + h / 2 - light.y) < most;
        })
      );
    },
    {},
    from,
    FILM.square / 2,
  );
}

test("X56 from a folder both networks follow what the camera shows and what a film does, by mouse and by keys, and nothing is asked of anybody else", async () => {
  const folder = await scratchFolder();
  const { state, ledger } = madeTracker();
  const run = join(folder, "run");
  await write(run, state, ledger);
  const out = join(folder, "demo");
  await writeDemo(run, out);
  const film = join(folder, "film.y4m");
  await writeFile(film, lightFilm());

  const args = [
    ...chromiumArguments({ software: true, headless: true }),
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-video-capture=${film}`,
  ];
  const browser = await puppeteer.launch({ executablePath: findChromium(), args, pipe: true });
  onTestFinished(() => browser.close());
  const page = await patientPage(browser);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  // The page's policy forbids it to make functions of texts.
  await page.evaluateOnNewDocument(`globalThis.lightMiddle = ${lightMiddle}`);
  await page.evaluateOnNewDocument(() => {
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) =>
      Object.assign(globalThis, { given: await open(wanted) }).given;
  });
  const asked = new Set<string>();
  page.on("request", (request) => {
    // A film that was opened has an address within the page.
    if (!request.url().startsWith("blob:")) asked.add(new URL(request.url()).host);
  });
  const host = await served(out);
  await page.goto(`http://${host}/some/where/`);
  await page.waitForSelector("html[data-state=ready]");
  expect(await page.$$eval(".network h2", (all) => all.map((one) => one.textContent))).toEqual([
    "1-bit network",
    "teacher",
  ]);
  expect(await axeViolations(page)).toEqual([]);

  // The camera, and a pointer.
  await page.click("input[value=camera]");
  await phase(page, "Drag a box");
  const stage = (await (await page.waitForSelector("#stage"))!.boundingBox())!;
  // As large as fits, in the middle.
  const scale = Math.min(stage.width / FILM.width, stage.height / FILM.height);
  const at = (x: number, y: number) =>
    [
      stage.x + stage.width / 2 + scale * (x - FILM.width / 2),
      stage.y + stage.height / 2 + scale * (y - FILM.height / 2),
    ] as const;
  const drag = async ({ x, y }: Middle) => {
    const half = FILM.square / 2;
    await page.mouse.move(...at(x - half, y - half));
    await page.mouse.down();
    const held = await page.evaluate(lightMiddle);
    await page.mouse.move(...at(held.x + half, held.y + half), { steps: 3 });
    await page.mouse.up();
    return held;
  };
  const start = await drag(await page.evaluate(lightMiddle));
  await phase(page, "Following");
  await followed(page, start);
  expect(await page.$eval("#pace", (node) => node.textContent)).toMatch(/^\d+(\.\d)? frames a second$/);
  expect(await axeViolations(page)).toEqual([]);
  const shades = await page.$$eval(".map canvas", (all) =>
    all.map((node) => {
      const { width, height } = node as HTMLCanvasElement;
      const { data } = (node as HTMLCanvasElement).getContext("2d")!.getImageData(0, 0, width, height);
      return [width, new Set(new Uint32Array(data.buffer)).size > 8];
    }),
  );
  expect(shades).toEqual(Array.from({ length: 6 }, () => [17, true]));
  await page.click("#pause");
  await phase(page, "Paused");
  await page.click("#resume");
  await phase(page, "Following");
  await page.click("#reset");
  await phase(page, "Drag a box");

  // A camera that is pulled out.
  await page.evaluate(() => {
    const { given } = globalThis as unknown as { readonly given: MediaStream };
    given.getTracks()[0]!.dispatchEvent(new Event("ended"));
  });
  await page.waitForSelector("#trouble");
  expect(await page.$eval("#trouble", (node) => node.textContent)).toContain("no picture any more");
  await page.click("#again");
  await phase(page, "Drag a box");

  // A film that this browser recorded, and keys alone.
  await page.evaluate(async (square: number) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
    const context = canvas.getContext("2d")!;
    let left = (320 - square) / 2;
    const draw = () => {
      context.fillStyle = "#7e7e7e";
      context.fillRect(0, 0, 320, 240);
      context.fillStyle = "#ebebeb";
      context.fillRect(Math.round(left), (240 - square) / 2, square, square);
      left += 0.5;
    };
    draw();
    const recorder = new MediaRecorder(canvas.captureStream(15), { mimeType: "video/webm" });
    const parts: Blob[] = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const over = new Promise((resolve) => {
      recorder.onstop = resolve;
    });
    recorder.start();
    for (let i = 0; i < 60; i++) {
      draw();
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    recorder.stop();
    await over;
    (document.querySelector("input[value=file]") as HTMLInputElement).click();
    await new Promise(requestAnimationFrame);
    const field = document.querySelector("#file") as HTMLInputElement;
    const files = new DataTransfer();
    files.items.add(new File(parts, "square.webm", { type: "video/webm" }));
    field.files = files.files;
    field.dispatchEvent(new Event("change", { bubbles: true }));
  }, FILM.square);
  await phase(page, "Drag a box");
  const before = await page.evaluate(lightMiddle);
  await page.focus("#stage");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await phase(page, "Following");
  await followed(page, before);
  await page.keyboard.press("Escape");
  await phase(page, "Drag a box");
  // One network alone; the last one stays.
  await page.click("#network-teacher input");
  expect(await page.$eval("#network-student input", (node) => (node as HTMLInputElement).disabled)).toBe(true);

  expect(asked).toEqual(new Set([host]));
  expect(errors).toEqual([]);
});

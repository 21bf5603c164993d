// The built bundle: its size, in Deno, and the page of the README in a browser, under a policy that grants nothing but
// its own script and WebAssembly.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import puppeteer from "puppeteer";
import sharp from "sharp";
import { expect, onTestFinished, test } from "vitest";
import { load } from "../../../worker/inference/index.ts";
import { chromiumArguments, findChromium } from "../../../worker/platform/node/chromium.ts";
import { findDeno } from "../../../worker/platform/node/deno.ts";
import { drawnFile, methodGraph } from "../../fixtures/drawn-export.ts";
import { patientPage } from "../../fixtures/patient-page.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const file = (path: string) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)));
const bundle = file("dist/inference/inference.js");
/** The whole of what a page fetches beside its network. */
const MOST_BUNDLE_BYTES = 40_000;

test(`the bundle is ${MOST_BUNDLE_BYTES / 1000} kB at most (gzip)`, () => {
  expect(gzipSync(bundle, { level: 9 }).length).toBeLessThanOrEqual(MOST_BUNDLE_BYTES);
});

async function serve(files: Readonly<Record<string, readonly [type: string, bytes: Uint8Array]>>, policy: string) {
  const server = createServer((request, response) => {
    const found = files[request.url ?? ""];
    response.writeHead(found ? 200 : 404, {
      "content-type": found?.[0] ?? "text/plain",
      "content-security-policy": policy,
    });
    response.end(found?.[1]);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test("the README's page says what a picture is, under a policy that grants WebAssembly alone", async () => {
  const html = /```html\n(.*?)```/s.exec(file("worker/inference/README.md").toString())![1]!;
  const script = /<script type="module">(.*?)<\/script>/s.exec(html)![1]!;
  const hash = createHash("sha256").update(script).digest("base64");
  const model = { kind: "resnet", widths: [16, 32], blocks: [1, 1] };
  const bytes = drawnFile(methodGraph({ kind: "rbcn" }, model, { h: 24, w: 24, c: 3 }));
  const url = await serve(
    {
      "/": ["text/html", Buffer.from(html)],
      "/inference.js": ["text/javascript", bundle],
      "/model.safetensors": ["application/octet-stream", bytes],
      "/favicon.ico": ["image/x-icon", new Uint8Array()],
    },
    `default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-${hash}'; connect-src 'self'; img-src 'self'`,
  );

  const [width, height] = [60, 40];
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * i * 7 + 13 * i) % 256);
  const picture = `${await scratchFolder()}/picture.png`;
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(picture);
  const [best] = await (await load(bytes, { backend: "wasm" })).predict({ data, width, height });

  const args = chromiumArguments({ software: true, headless: true });
  const browser = await puppeteer.launch({ executablePath: findChromium(), args, pipe: true });
  onTestFinished(() => browser.close());
  const page = await patientPage(browser);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(url);
  await page.waitForFunction("document.querySelector('input').onchange !== null");
  const input = await page.$("input");
  await input!.uploadFile(picture);
  await page.waitForFunction("document.querySelector('output').value !== ''");
  expect(await page.$eval("output", (output) => output.value)).toBe(
    `${best!.label}, ${Math.round(100 * best!.probability)} %`,
  );

  // A reader sees what is wrong with a picture that is none.
  const broken = `${await scratchFolder()}/broken.png`;
  await writeFile(broken, "no picture");
  await input!.uploadFile(broken);
  await page.waitForFunction("/could not be decoded|cannot be/.test(document.querySelector('output').value)");

  // The same page, asked for the logits by both backends.
  const answers = (await page.evaluate(`(async () => {
    const { load } = await import("./inference.js");
    const values = Float32Array.from({ length: 3 * 24 * 24 }, (_, i) => Math.sin(i));
    const answers = [];
    for (const backend of ["wasm", "webgpu"]) {
      const model = await load("model.safetensors", { backend });
      answers.push({ backend: model.info.backend, logits: [...(await model.logits(values))] });
      model.dispose();
    }
    return answers;
  })()`)) as { readonly backend: string; readonly logits: readonly number[] }[];
  expect(answers.map(({ backend }) => backend)).toEqual(["wasm", "webgpu"]);
  const [cpu, gpu] = answers.map(({ logits }) => logits);
  const size = Math.max(...cpu!.map(Math.abs));
  expect(Math.max(...cpu!.map((value, i) => Math.abs(value - gpu![i]!)))).toBeLessThan(1e-4 * size);
  expect(errors).toEqual([]);
});

test("Deno gets from the same file what Node gets", async () => {
  const folder = await scratchFolder();
  const bytes = drawnFile(methodGraph({ kind: "rbcn" }, { kind: "lenet" }, { h: 28, w: 28, c: 1 }));
  await writeFile(`${folder}/model.safetensors`, bytes);
  await writeFile(`${folder}/inference.js`, bundle);
  await writeFile(
    `${folder}/main.js`,
    `import { load } from "./inference.js";
const model = await load(new URL("model.safetensors", import.meta.url), { backend: "wasm" });
console.log(JSON.stringify([...(await model.logits(new Uint8Array(28 * 28).fill(200)))]));
`,
  );
  const { stdout } = await promisify(execFile)(findDeno(), [
    "run",
    "--no-prompt",
    `--allow-read=${folder}`,
    `${folder}/main.js`,
  ]);
  const own = await load(bytes, { backend: "wasm" });
  expect(JSON.parse(stdout)).toEqual([...(await own.logits(new Uint8Array(28 * 28).fill(200)))]);
});

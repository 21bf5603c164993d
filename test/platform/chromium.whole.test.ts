// Rules of finding a Chromium and of its command line.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import puppeteer from "puppeteer";
import { expect, onTestFinished, test } from "vitest";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import { patientPage } from "../fixtures/patient-page.ts";
import { servePage } from "./fixtures/page-server.ts";

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), "bitswarm-test-"));
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

function program(directory: string, name: string, text: string): string {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}

test("findChromium takes CHROMIUM_PATH first and says so when it names nothing", () => {
  const named = program(folder(), "mine", "");
  expect(findChromium({ CHROMIUM_PATH: named, PATH: "" })).toBe(named);
  expect(() => findChromium({ CHROMIUM_PATH: "/nowhere/chromium", PATH: process.env.PATH })).toThrow(
    "CHROMIUM_PATH names /nowhere/chromium, which does not exist",
  );
});

test("findChromium takes the first program on PATH that is not Ubuntu's way to the snap", () => {
  const [stubs, real] = [folder(), folder()];
  program(stubs, "chromium-browser", '#!/bin/sh\nexec /snap/bin/chromium "$@"\n');
  expect(() => findChromium({ PATH: stubs })).toThrow(expect.objectContaining({ code: "RUNTIME_MISSING" }));
  const chrome = program(real, "google-chrome", "#!/bin/sh\n");
  expect(findChromium({ PATH: `${stubs}${path.delimiter}${real}` })).toBe(chrome);
});

test("chromiumArguments choose SwiftShader or the GPU's driver, and the sandbox unless root", () => {
  const software = chromiumArguments({ software: true, headless: true, asRoot: true, platform: "linux" });
  expect(software).toEqual(
    expect.arrayContaining(["--headless=new", "--no-sandbox", "--use-webgpu-adapter=swiftshader"]),
  );
  const hardware = chromiumArguments({ software: false, headless: false, asRoot: false, platform: "linux" });
  expect(hardware).toContain("--enable-features=Vulkan");
  expect(hardware.join(" ")).not.toMatch(/--headless|--no-sandbox|swiftshader|--disable-vulkan-surface/);
  const mac = chromiumArguments({ software: false, headless: true, asRoot: false, platform: "darwin" });
  expect(mac.join(" ")).not.toMatch(/vulkan/i);
});

test("chromiumArguments leave Dawn's clamping out only where that is asked for, and never with a GPU", () => {
  const flags = (software: boolean, unclamped?: boolean) =>
    chromiumArguments({ software, headless: true, ...(unclamped === undefined ? {} : { unclamped }) }).join(" ");
  expect(flags(true, true)).toContain("--enable-dawn-features=disable_robustness");
  for (const others of [flags(true), flags(true, false), flags(false, true)])
    expect(others).not.toContain("robustness");
});

test("a page on plain http from another host has an adapter only as the trusted origin", async () => {
  const server = await servePage();
  onTestFinished(() => server.close());
  const link = server.link("ends", "worker.test");
  const browser = await puppeteer.launch({
    executablePath: findChromium(),
    args: [
      ...chromiumArguments({ software: !hasHardwareGpu(), headless: true, trustedOrigin: new URL(link).origin }),
      "--host-resolver-rules=MAP *.test 127.0.0.1",
      "about:blank",
    ],
    ignoreDefaultArgs: true,
    pipe: true,
  });
  onTestFinished(() => browser.close());
  const page = await patientPage(browser);
  const hasGpu = async (address: string) => {
    await page.goto(address);
    return page.evaluate("navigator.gpu !== undefined && 'caches' in self");
  };
  expect(await hasGpu(server.link("ends", "stranger.test"))).toBe(false);
  expect(await hasGpu(link)).toBe(true);
  await page.waitForSelector("html[data-state=ended]");
});

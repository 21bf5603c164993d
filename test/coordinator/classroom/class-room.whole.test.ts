// A class room as a pupil's laptop meets it: the short address, the page that says how to trust, a Chromium that is
// told to, and then joins over https and computes.

import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { expect, onTestFinished, test } from "vitest";
import { scopeOf } from "../../../coordinator/tls/address-scope.ts";
import { newKey, openAuthority } from "../../../coordinator/tls/authority.ts";
import { serverCertificate } from "../../../coordinator/tls/certificate.ts";
import { chromiumArguments, findChromium } from "../../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../../worker/platform/node/vulkan.ts";
import { axeViolations } from "../../fixtures/axe-run.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { patientPage } from "../../fixtures/patient-page.ts";
import { scratchFolder, tinyFlags } from "../../fixtures/test-run.ts";
import { notOnLinux, testTool } from "../../fixtures/test-tool.ts";

const TIMEOUT_MS = 300_000;
/** Where the pictures of the pages go, for whoever wants to look at them. */
const PICTURES = process.env.BITSWARM_PICTURES;

const looks = [
  { name: "light", scheme: "light", width: 1280, height: 720 },
  { name: "dark", scheme: "dark", width: 1280, height: 720 },
  { name: "phone", scheme: "light", width: 390, height: 844 },
  { name: "forced", scheme: "dark", width: 1280, height: 720 },
] as const;

/** Looks at a page in each light and size: nothing is wrong for axe, and nothing is wider than the window. */
async function lookAt(page: Page, what: string): Promise<void> {
  const session = await page.createCDPSession();
  for (const { name, scheme, width, height } of looks) {
    await page.setViewport({ width, height });
    const features = [
      { name: "prefers-color-scheme", value: scheme },
      { name: "forced-colors", value: name === "forced" ? "active" : "none" },
    ];
    await session.send("Emulation.setEmulatedMedia", { features });
    expect(await axeViolations(page), `${what}, ${name}`).toEqual([]);
    expect(await page.evaluate("document.documentElement.scrollWidth"), `${what}, ${name}`).toBeLessThanOrEqual(width);
    if (PICTURES !== undefined) await page.screenshot({ path: join(PICTURES, `${what}-${name}.png`), fullPage: true });
  }
}

/** A server that whoever has stolen the key of an authority for 127.0.0.1 signs for: where it answers. */
async function thief(settings: string): Promise<string> {
  const { authority } = await openAuthority(settings, scopeOf("127.0.0.1"), new Date());
  const key = newKey();
  const lifetime = { from: new Date(Date.now() - 1000), until: authority.until };
  const certificate = await serverCertificate(["127.0.0.2"], lifetime, key, authority);
  const server = createServer(
    { cert: `${certificate}${authority.certificate}`, key: String(key.export({ type: "pkcs8", format: "pem" })) },
    (_, response) => response.end("not the room"),
  ).listen(0, "127.0.0.2");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  return `https://127.0.0.2:${(server.address() as AddressInfo).port}/`;
}

/** A Chromium of a user whose certificates lie in this home. */
async function openChromium(home: string): Promise<Browser> {
  const args = chromiumArguments({ software: !hasHardwareGpu(), headless: true });
  const env = { ...process.env, HOME: home };
  const browser = await puppeteer.launch({ executablePath: findChromium(), args, env, pipe: true });
  onTestFinished(() => browser.close());
  return browser;
}

test.skipIf(notOnLinux)(
  "J16 a browser that is told to trust the room's certificate joins over https and computes",
  async () => {
    const folder = await scratchFolder();
    const home = join(folder, "home");
    const database = join(home, ".pki", "nssdb");
    mkdirSync(database, { recursive: true });
    const certutil = (...args: string[]) => execFileSync(testTool("certutil"), ["-d", `sql:${database}`, ...args]);
    certutil("-N", "--empty-password");

    const { flags, runDir } = await tinyFlags();
    const asked = [
      "start",
      ...flags,
      "--run-dir",
      runDir,
      "--lan=127.0.0.1",
      "--workers",
      "0",
      "--port",
      "0",
      "--max-steps",
      "2",
    ];
    const coordinator = new CoordinatorProcess(asked, { XDG_CONFIG_HOME: join(folder, "settings") });
    const [, address] = await coordinator.printed(/To type or to scan: (\S+)/);
    const [, slide] = await coordinator.printed(/For the projector: +(\S+)/);
    const [, fingerprint] = await coordinator.printed(/fingerprint \(SHA-256\):\n +([\dA-F:]+\n +[\dA-F:]+)/);
    expect(coordinator.stderr).toContain("--lan takes 127.0.0.1 (lo): it was named");

    // A newcomer types the short address, without https, and sees how to trust; over https they get no further.
    const before = await openChromium(home);
    const newcomer = await patientPage(before);
    await newcomer.goto(`http://${address}`);
    const words = (await newcomer.$eval("main", (node) => node.textContent)) ?? "";
    expect(words).toContain(fingerprint.replace(/\s+/, ":"));
    expect(await newcomer.$eval("details[open] summary", (node) => node.textContent)).toContain("Linux");
    await newcomer.waitForFunction("document.getElementById('waiting').textContent.includes('by itself')");
    await lookAt(newcomer, "trust");
    await expect(newcomer.goto(`https://${address}`)).rejects.toThrow("ERR_CERT_AUTHORITY_INVALID");
    await newcomer.goto(`http://${address}`);
    const certificate = await newcomer.$eval(
      "#certificate",
      (link) => (link as unknown as { readonly href: string }).href,
    );

    // The slide, on the machine that runs it.
    const projector = await patientPage(before);
    await projector.goto(slide);
    await projector.waitForFunction("document.getElementById('progress').textContent !== ''");
    expect(await projector.$eval(".address", (node) => node.textContent)).toBe(address);
    expect(await projector.$eval(".fingerprint code", (node) => node.textContent)).toBe(
      fingerprint.replace(/\s+/, ":"),
    );
    await lookAt(projector, "join");

    // What the page says for Linux is done.
    const file = join(folder, "bitswarm-class-room.crt");
    writeFileSync(file, await (await fetch(certificate)).text());
    certutil("-A", "-t", "C,,", "-n", "bitswarm class room", "-i", file);

    // The same short address now leads into the run by itself, over https, with no warning.
    const after = await openChromium(home);
    const pupil = await patientPage(after);
    const errors: string[] = [];
    pupil.on("pageerror", (error) => errors.push(String(error)));
    await pupil.goto(`http://${address}`);
    await pupil.waitForFunction("location.protocol === 'https:' && location.search !== ''");
    expect(new URL(pupil.url()).host).toBe(address.split("/")[0]);
    await pupil.waitForSelector("#start:enabled");
    // What the device was told to trust speaks for this address alone, whoever has its key.
    const elsewhere = await patientPage(after);
    await expect(elsewhere.goto(await thief(join(folder, "settings", "bitswarm")))).rejects.toThrow("ERR_CERT_INVALID");
    await elsewhere.close();
    await pupil.bringToFront();
    await pupil.click("#start");
    await projector.bringToFront();
    await projector.waitForFunction("document.getElementById('workers').textContent === '1'");
    // Nobody else computes: the run's steps are this browser's.
    const { code } = await coordinator.exited;
    expect(code).toBe(0);
    expect(coordinator.stdout).toContain("after step 2");
    expect(errors).toEqual([]);
  },
  TIMEOUT_MS,
);

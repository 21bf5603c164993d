// Rule: when a launcher is killed outright, nothing of what it started goes on.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createProfile, removeProfile, sweepProfiles } from "../../worker/platform/node/chromium-profile.ts";
import { type PageServer, servePage } from "./fixtures/page-server.ts";
import { descendants, isRunning, survivors } from "./fixtures/processes.ts";

let server: PageServer;
/** Its own, since launchers of other files sweep the common one at the same time. */
const folder = mkdtempSync(path.join(tmpdir(), "bitswarm-orphans-"));
beforeAll(async () => {
  server = await servePage();
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

test.each(["browser", "deno"])("SIGKILL of a %s launcher leaves no process behind", async (runtime) => {
  const script = fileURLToPath(new URL("fixtures/launch.mjs", import.meta.url));
  const launcher = spawn(process.execPath, [script, runtime, server.link("stays")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, TMPDIR: folder },
  });
  const lines: string[] = [];
  createInterface({ input: launcher.stderr }).on("line", (line) => lines.push(line));
  const joined = new Promise((resolve) => createInterface({ input: launcher.stdout }).once("line", resolve));
  const exit = once(launcher, "exit");
  await Promise.race([joined, exit]);
  expect(launcher.exitCode, lines.join("\n")).toBe(null);
  const pids = descendants(launcher.pid!);
  expect(pids.filter(isRunning).length).toBeGreaterThanOrEqual(2);
  launcher.kill("SIGKILL");
  await exit;
  expect(await survivors(pids, 30_000)).toEqual([]);
});

test("the next launcher removes the profile that a killed one left, and no living one's", async () => {
  const mine = createProfile(folder);
  const profiles = () => readdirSync(folder).filter((name) => name.startsWith("bitswarm-chromium-"));
  expect(profiles().length).toBeGreaterThanOrEqual(2);
  sweepProfiles(folder);
  expect(profiles()).toEqual([path.basename(mine)]);
  await removeProfile(mine);
});

#!/usr/bin/env node
// Finds what this machine lacks for building, testing and lending a GPU, and installs it where it may; silent when all is there.
// Runs before any build, so: plain JavaScript, no dependencies. `--check` only reports, `--verbose` lists everything,
// `--tests` looks for the programs that only tests start, too.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { fashionFiles, fashionFolders, fashionHome, plan, toolsFolder } from "./setup-plan.mjs";

export { fashionFiles, fashionFolders, plan, toolsFolder };

const packageRoot = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** @returns {import("./setup.d.mts").Probe} */
export function machineProbe() {
  /** @template T @param {() => T} look @param {T} otherwise */
  const attempt = (look, otherwise) => {
    try {
      return look();
    } catch {
      return otherwise;
    }
  };
  return {
    platform: process.platform,
    arch: process.arch,
    uid: process.getuid?.(),
    home: os.homedir(),
    env: process.env,
    exists: (file) => fs.existsSync(file),
    size: (file) => fs.statSync(file, { throwIfNoEntry: false })?.size,
    list: (directory) => attempt(() => fs.readdirSync(directory), []),
    read: (file) => attempt(() => firstText(file), ""),
    which: (name) => {
      const names = process.platform === "win32" ? [`${name}.exe`, `${name}.cmd`] : [name];
      const folders = (process.env.PATH ?? "").split(path.delimiter).filter(Boolean);
      const candidates = folders.flatMap((folder) => names.map((file) => path.join(folder, file)));
      return candidates.find((file) => attempt(() => fs.accessSync(file, fs.constants.X_OK) === undefined, false));
    },
    version: (program) => {
      const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8", timeout: 10_000 });
      return /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0] ?? "";
    },
    packageFolder: (name) =>
      attempt(
        () => path.dirname(createRequire(`${packageRoot}/package.json`).resolve(`${name}/package.json`)),
        undefined,
      ),
  };
}

/** @param {string} file */
function firstText(file) {
  const descriptor = fs.openSync(file, "r");
  try {
    const buffer = Buffer.alloc(16_384);
    return buffer.toString("utf8", 0, fs.readSync(descriptor, buffer, 0, buffer.length, 0));
  } finally {
    fs.closeSync(descriptor);
  }
}

/** @param {string} folder @param {string} baseUrl */
export async function downloadFashion(folder, baseUrl = `${fashionHome}/raw/master/data/fashion`) {
  fs.mkdirSync(path.dirname(folder), { recursive: true });
  const staging = fs.mkdtempSync(`${folder}.`);
  try {
    for (const file of fashionFiles) {
      const response = await fetch(`${baseUrl}/${file.name}`, { signal: AbortSignal.timeout(300_000) });
      if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
      const bytes = Buffer.from(await response.arrayBuffer());
      const sha256 = createHash("sha256").update(gunzipSync(bytes)).digest("hex");
      if (sha256 !== file.sha256) throw new Error(`${response.url} has the content ${sha256}, not ${file.sha256}`);
      fs.writeFileSync(path.join(staging, file.name), bytes);
    }
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(staging, folder);
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
  }
}

/** Installs one by one what the distribution has: one unknown name would otherwise fail all. @param {readonly string[]} packages */
function aptInstall(packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const wait = ["-o", "DPkg::Lock::Timeout=300"];
  /** @param {readonly string[]} parameters */
  const apt = (...parameters) => {
    const result = spawnSync("apt-get", [...wait, ...parameters], {
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    if (result.status !== 0)
      say(`apt-get ${parameters.join(" ")} failed:\n${`${result.stderr ?? result.error ?? ""}`.trim()}`);
    return result.status === 0;
  };
  say(`installing ${packages.join(", ")}`);
  apt("update", "-qq");
  const known = packages.filter((name) => {
    const answer = spawnSync("apt-cache", ["show", "--no-all-versions", name], { encoding: "utf8" });
    if (answer.status !== 0 || !answer.stdout) say(`this distribution has no package ${name}`);
    return answer.status === 0 && answer.stdout;
  });
  if (known.length > 0) apt("install", "-y", "-qq", "--no-install-recommends", ...known);
}

/**
 * Fetches packages and unpacks them, nothing more: no script of theirs runs.
 * @param {readonly string[]} packages @param {string} folder @param {string} [suite] of Debian; this machine's unless given
 */
function aptUnpack(packages, folder, suite) {
  fs.mkdirSync(folder, { recursive: true });
  const staging = fs.mkdtempSync(path.join(os.tmpdir(), "bitswarm-packages-"));
  try {
    say(`unpacking ${packages.join(", ")}${suite === undefined ? "" : ` of Debian ${suite}`} into ${folder}`);
    // As root, apt fetches as a user of its own, who must be let into the folder.
    fs.chmodSync(staging, 0o755);
    const settings = suite === undefined ? [] : suiteSettings(suite, folder);
    const fetched = spawnSync("apt-get", [...settings, "download", "-qq", ...packages], {
      cwd: staging,
      encoding: "utf8",
    });
    for (const file of fs.readdirSync(staging)) spawnSync("dpkg", ["-x", path.join(staging, file), folder]);
    if (fetched.status !== 0) say(`apt-get download ${packages.join(" ")} failed:\n${`${fetched.stderr}`.trim()}`);
  } finally {
    fs.rmSync(staging, { recursive: true, force: true });
    // Twenty megabytes of lists that nobody asks again.
    fs.rmSync(path.join(folder, "apt"), { recursive: true, force: true });
  }
}

/**
 * An apt configuration of its own for a suite, with lists of its own: nothing of the machine's changes, and nothing of
 * that suite is ever installed. From the mirror that this machine has for Debian.
 * @param {string} suite @param {string} tools
 */
function suiteSettings(suite, tools) {
  const folder = path.join(tools, "apt", suite);
  for (const part of ["sources", "lists/partial", "cache/archives/partial"])
    fs.mkdirSync(path.join(folder, part), { recursive: true });
  const format = "$(REPO_URI)|$(ORIGIN)|$(LABEL)";
  const known = spawnSync("apt-get", ["indextargets", "--format", format], { encoding: "utf8" }).stdout ?? "";
  const mirror = known.split("\n").find((line) => line.endsWith("|Debian|Debian"));
  const source = {
    Types: "deb",
    URIs: mirror?.split("|")[0] ?? "http://deb.debian.org/debian",
    Suites: suite,
    Components: "main",
    "Signed-By": "/usr/share/keyrings/debian-archive-keyring.gpg",
  };
  const lines = Object.entries(source).map(([key, value]) => `${key}: ${value}\n`);
  fs.writeFileSync(path.join(folder, "sources", `${suite}.sources`), lines.join(""));
  const settings = [
    "Dir::Etc::SourceList=/dev/null",
    `Dir::Etc::SourceParts=${folder}/sources`,
    `Dir::State::Lists=${folder}/lists`,
    `Dir::Cache=${folder}/cache`,
  ].flatMap((setting) => ["-o", setting]);
  const updated = spawnSync("apt-get", [...settings, "update", "-qq"], { encoding: "utf8" });
  if (updated.status !== 0) say(`apt-get update for Debian ${suite} failed:\n${`${updated.stderr}`.trim()}`);
  return settings;
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`setup: ${line}\n`);
}

/** @param {readonly string[]} argv */
async function main(argv) {
  const unknown = argv.find((word) => !["--check", "--verbose", "--tests"].includes(word));
  if (unknown) {
    say(
      `${unknown} is not an option; there are --check (only report), --verbose (list everything) and --tests (what tests start, too)`,
    );
    return 2;
  }
  const probe = machineProbe();
  const wanted = { tests: argv.includes("--tests") };
  const before = plan(probe, wanted);
  let now = before;
  if (!argv.includes("--check")) {
    if (now.canInstall) {
      aptInstall(now.packages);
      now = plan(probe, wanted);
    }
    if (now.unpacked.length > 0) {
      aptUnpack(now.unpacked, toolsFolder(probe));
      now = plan(probe, wanted);
    }
    for (const { suite, package: name } of now.unpackedOf) {
      aptUnpack([name], toolsFolder(probe), suite);
      now = plan(probe, wanted);
    }
    if (now.items.some((item) => item.name === "fashion-mnist" && !item.present)) {
      const folder = String(fashionFolders(probe).at(-1));
      say(`downloading Fashion-MNIST (29 MiB) from ${fashionHome}`);
      await downloadFashion(folder).catch((error) => say(`no download: ${error.cause?.message ?? error.message}`));
      now = plan(probe, wanted);
    }
  }
  for (const [index, item] of now.items.entries()) {
    if (item.present && (argv.includes("--verbose") || !before.items[index]?.present))
      say(`${item.name}: ${item.detail}`);
    else if (!item.present) say(`MISSING ${item.name} (${item.purpose}): ${item.detail}`);
  }
  if (now.items.every((item) => item.present)) return 0;
  if (now.commands.length > 0) say(`run:\n${now.commands.map((command) => `  ${command}`).join("\n")}`);
  for (const hint of now.hints) say(hint);
  return 1;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.exitCode = await main(process.argv.slice(2));
}

// Links a checkout's own programs into node_modules/.bin, as npm does for every package but the root one: without it
// `npx worker` in a checkout asks the registry. tsc writes plain files, so the executable bit is set here too.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Those of a checkout. The package that npm packs has one, which package.json names. @type {Record<string, string>} */
const own = {
  bitswarm: "dist/coordinator/program/bitswarm.js",
  coordinator: "dist/coordinator/program/bin.js",
  worker: "dist/worker/platform/node/bin.js",
};

/**
 * @param {string} root The package root.
 * @param {Record<string, string>} programs
 * @param {string} platform
 * @returns {string[]} The programs linked.
 */
export function linkBins(root, programs = own, platform = process.platform) {
  const folder = path.join(root, "node_modules", ".bin");
  if (!fs.existsSync(path.dirname(folder))) return [];
  fs.mkdirSync(folder, { recursive: true });
  return Object.entries(programs).flatMap(([name, file]) => {
    const program = path.join(root, file);
    if (!fs.existsSync(program)) return [];
    fs.chmodSync(program, 0o755);
    const target = path.relative(folder, program);
    const link = path.join(folder, name);
    if (platform === "win32") fs.writeFileSync(`${link}.cmd`, `@node "%~dp0\\${target}" %*\r\n`);
    else replaceLink(target, link);
    return [name];
  });
}

/** Two builds may run at once: a rename is whole for both. @param {string} target @param {string} link */
function replaceLink(target, link) {
  const staged = `${link}.${process.pid}`;
  fs.symlinkSync(target, staged);
  fs.renameSync(staged, link);
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  linkBins(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
}

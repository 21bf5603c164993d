// Says which folder names the tools of the build and of the tests cannot work in, before they fail with words of their own.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Vite cuts a path at "#" and "?", where a URL's path ends; vitest decodes "%41" as a URL does. Anything else may stand
 * in it: spaces, quotes, umlauts.
 *
 * @param {string} root @param {"build" | "test"} purpose
 * @returns {string | undefined} What is wrong and what to do.
 */
export function checkoutPathProblem(root, purpose) {
  const cut = /[#?]/.exec(root);
  if (cut)
    return problem(root, cut[0], "Vite, which builds the volunteers' page, cannot read files below such a folder");
  const coded = purpose === "test" ? /%[0-9a-f]{2}/i.exec(root) : null;
  if (coded) return problem(root, coded[0], "vitest, which runs the tests, takes that for another character");
  return undefined;
}

/** @param {string} root @param {string} part @param {string} why */
function problem(root, part, why) {
  return `the checkout's path ${root} has ${JSON.stringify(part)} in it: ${why}; rename the folder`;
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const text = checkoutPathProblem(path.dirname(path.dirname(fileURLToPath(import.meta.url))), "build");
  if (text !== undefined) {
    console.error(text);
    process.exitCode = 1;
  }
}

// A report as a page in one file: no script, nothing that is fetched, and a policy that forbids both. It is read in
// light and in dark.

import { createHash } from "node:crypto";
import { COLOURS } from "./chart.ts";
import { html, type Markup } from "./html.ts";

/** Of lines on light and on dark: each pair has three to one against its ground (WCAG 1.4.11). */
const light = ["1f5fbf", "c2410c", "15803d", "a21caf", "8a6100", "0e7490", "b91c1c", "4338ca", "4d7c0f", "57534e"];
const dark = ["7fb2ff", "fb923c", "4ade80", "f0abfc", "facc15", "22d3ee", "fca5a5", "a5b4fc", "bef264", "d6d3d1"];

const colours = (of: readonly string[]) => Array.from({ length: COLOURS }, (_, i) => `--c${i}: #${of[i]};`).join(" ");
const classes = Array.from(
  { length: COLOURS },
  (_, i) => `.s${i} { stroke: var(--c${i}); fill: var(--c${i}); color: var(--c${i}); }`,
).join("\n");

const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1c1917; --soft: #57534e; --rule: #d6d3d1; --shade: #f5f5f4; ${colours(light)} }
@media (prefers-color-scheme: dark) {
  :root { --ground: #161514; --text: #f5f5f4; --soft: #a8a29e; --rule: #44403c; --shade: #24211f; ${colours(dark)} }
}
body { background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p { max-width: 62rem; } .note { color: var(--soft); }
.wide { overflow-x: auto; }
.wide:focus-visible { outline: 2px solid var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { border-bottom: 1px solid var(--rule); padding: .35rem .5rem; text-align: right; vertical-align: top; }
th { color: var(--soft); font-size: 13px; font-weight: 600; vertical-align: bottom; } th:first-child, td:first-child { text-align: left; }
td.words { text-align: left; } td.words svg { min-width: 10rem; } tbody th, tbody:has(th) td { vertical-align: middle; } tbody tr:hover { background: var(--shade); }
svg { display: block; height: auto; max-width: 60rem; width: 100%; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; } svg .tick, svg .axis { fill: var(--soft); }
.grid { stroke: var(--rule); stroke-width: 1; }
${classes}
.line { fill: none; stroke-width: 2; } .band { fill-opacity: .14; stroke: none; } .bar { stroke-width: 2; } .dot { stroke: var(--ground); stroke-width: 1; }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; list-style: none; margin: .4rem 0; padding: 0; }
.key li { align-items: center; display: flex; gap: .4rem; } .key svg { width: 30px; }
td .key-mark { display: inline-block; vertical-align: middle; width: 30px; margin-right: .5rem; } td:first-child { min-width: 8.5rem; overflow-wrap: anywhere; }
summary { cursor: pointer; }
@media (max-width: 62rem) { table { font-size: 12px; } th { font-size: 11px; } th, td { padding: .3rem .2rem; } td .key-mark { width: 16px; margin-right: .3rem; } td:first-child { min-width: 6rem; } }
@media (max-width: 30rem) { body { padding: 0 .75rem; } tbody th { min-width: 4rem; overflow-wrap: anywhere; } td.words svg { min-width: 3rem; } svg .tick, svg .axis { font-size: 18px; } }
`;

/** The page's text. */
export function reportPage(title: string, body: Markup): string {
  const hash = createHash("sha256").update(style).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
  const { markup } = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer"><title>${title}</title><style>${{ markup: style }}</style></head><body><main>
${body}
</main></body></html>
`;
  return markup;
}

// Text and pages of the class room in HTML: what comes from a configuration is text there, whatever it holds.

import { roomPolicy } from "../server/beside.ts";

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character]);
}

/** No other host, no script or style in the page itself, no frame around it. */
export const PAGE_POLICY = roomPolicy();

export interface PageParts {
  readonly title: string;
  /** Of the page's look: `join`, `trust`. */
  readonly kind: string;
  /** HTML. */
  readonly body: string;
  /** Data attributes of the document, for its script. */
  readonly data?: Readonly<Record<string, string>>;
}

/** @param root of the class room's files, relative to the page: `./`, `../` */
export function pageOf({ title, kind, body, data = {} }: PageParts, root: string): string {
  const facts = Object.entries(data).map(([name, value]) => ` data-${name}="${escaped(value)}"`);
  return [
    `<!doctype html><html lang="en" class="${kind}"${facts.join("")}><head><meta charset="utf-8">`,
    `<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">`,
    `<meta name="referrer" content="no-referrer"><title>${escaped(title)}</title>`,
    `<link rel="icon" type="image/svg+xml" href="${root}class-room/icon.svg">`,
    `<link rel="stylesheet" href="${root}class-room/theme.css">`,
    `<link rel="stylesheet" href="${root}class-room/class-room.css">`,
    `<script type="module" src="${root}class-room/${kind}.js"></script></head><body>${body}</body></html>`,
  ].join("");
}

// A page of one notice for people, who get no JSON: what is wrong with where they went, and what to do.

import type { PageFiles } from "./page-files.ts";

export interface PageNotice {
  readonly title: string;
  /** HTML, as the steps are. */
  readonly text: string;
  readonly steps?: readonly string[];
}

/** Whether a browser is to show the answer to somebody; programs, and scripts of pages, take anything. */
export function isForPeople(accept = ""): boolean {
  return /(?:^|,)\s*text\/html\b/.test(accept);
}

/** One word with at most one hyphen in it, as long as a short code with a letter too many or too few. */
const LIKE_A_CODE = /^\/[A-Za-z0-9]{2,5}-?[A-Za-z0-9]{0,5}$/;

/** @param path of an address at which nothing is */
export function nothingAt(path: string): PageNotice {
  const code = LIKE_A_CODE.test(path)
    ? [
        "Look at the board or the slide again, letter by letter. A code is three letters or digits, a hyphen, and three more; it has no 0, 1, i, l, o or u, and capitals do not matter.",
      ]
    : [];
  return {
    title: "Nothing is at this address",
    text: "One of its letters is probably wrong.",
    steps: [...code, "Ask whoever runs the training for the link, and open all of it."],
  };
}

/** The notice, which looks like the volunteers' page where that was built. @param path where it is shown */
export function noticePage(page: PageFiles, { title, text, steps = [] }: PageNotice, path = "/"): string {
  const root = "../".repeat(path.split("/").length - 2) || "./";
  const style = [...page.keys()].find((name) => name.endsWith(".css"));
  const icon = [...page.keys()].find((name) => name.endsWith(".svg"));
  const links = [
    icon === undefined ? "" : `<link rel="icon" type="image/svg+xml" href="${root}${icon}">`,
    style === undefined ? "" : `<link rel="stylesheet" href="${root}${style}">`,
  ];
  const picture = icon === undefined ? "" : `<img src="${root}${icon}" alt="" width="28" height="28">`;
  const list =
    steps.length === 0 ? "" : `<ul id="notice-steps">${steps.map((step) => `<li>${step}</li>`).join("")}</ul>`;
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8">`,
    `<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">`,
    `<title>${title}</title>${links.join("")}</head><body><main>`,
    `<header><p class="brand">${picture}bitswarm</p><h1>${title}</h1></header>`,
    `<section class="card notice" role="alert"><p>${text}</p>${list}</section></main></body></html>`,
  ].join("");
}

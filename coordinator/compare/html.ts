// Text of HTML and SVG, attributes between double quotes: what is put into it is escaped, unless it was made here.

/** Markup that is put in as it stands. */
export interface Markup {
  readonly markup: string;
}

type Part = string | number | Markup | readonly Markup[] | undefined;

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

function textOf(part: Part): string {
  if (part === undefined) return "";
  if (typeof part === "string" || typeof part === "number") return String(part).replace(/[&<>"]/g, (c) => escapes[c]);
  if ("markup" in part) return part.markup;
  return part.map(({ markup }) => markup).join("");
}

/** A template whose values are text, unless they are markup themselves. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { markup: strings.map((text, i) => text + textOf(parts[i])).join("") };
}

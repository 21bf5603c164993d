// The colours that are drawn with, as the page's style has them now: light, dark, or the visitor's own.

export interface Theme {
  readonly text: string;
  readonly quiet: string;
  readonly line: string;
  /** Of a chart's series, one after the other. */
  readonly series: readonly string[];
  colour(name: string): string;
}

const SERIES = 8;

const DRAWN = [
  "state-preparing",
  "state-waiting",
  "state-computing",
  "state-uploading",
  "state-checking",
  "state-stalled",
  "state-away",
  "state-resting",
  "strip-committed",
  "strip-collected",
  "strip-leased",
] as const;

export function readTheme(): Theme {
  // A custom property holds what was written: light-dark() is resolved where it is used.
  const probe = document.createElement("span");
  // Where the visitor chose the colours, text has one; what is drawn keeps its own.
  probe.className = "probe";
  document.body.append(probe);
  const colour = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const drawn = new Map<string, string>(DRAWN.map((name) => [name, colour(name)]));
  const series = Array.from({ length: SERIES }, (_, i) => colour(`series-${i + 1}`));
  const [text, quiet, line] = ["text", "quiet", "line"].map(colour);
  probe.remove();
  return { text, quiet, line, series, colour: (name) => drawn.get(name) ?? quiet };
}

/** Calls when the colours are others. Returns what ends that. */
export function onThemeChange(call: () => void): () => void {
  const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) => matchMedia(query));
  for (const query of queries) query.addEventListener("change", call);
  return () => {
    for (const query of queries) query.removeEventListener("change", call);
  };
}

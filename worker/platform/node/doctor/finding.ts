// One thing that `bitswarm doctor` looked at: what it found, whether that is right, and what to do where it is not.

export type Verdict = "ok" | "warn" | "fail" | "skip";

export interface Finding {
  /** One word or two: what was looked at. */
  readonly check: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** What to do; only beside `warn` and `fail`. */
  readonly advice?: string;
}

export const ok = (check: string, found: string): Finding => ({ check, verdict: "ok", found });
export const warn = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: "warn",
  found,
  advice,
});
export const fail = (check: string, found: string, advice: string): Finding => ({
  check,
  verdict: "fail",
  found,
  advice,
});
export const skip = (check: string, why: string): Finding => ({ check, verdict: "skip", found: `not tried: ${why}` });

/** Columns before what was found: the verdict and the check. */
const INDENT = 22;
const LEAST_COLUMNS = 40;

/** Words of a text in lines of so many columns; a longer word has a line of its own. */
function wrapped(text: string, columns: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line !== "" && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

/** @param columns of the terminal; @param colour of a verdict, where colours are wanted */
export function findingLines(
  { check, verdict, found, advice }: Finding,
  columns: number,
  colour: (verdict: Verdict, text: string) => string = (_, text) => text,
): string[] {
  const width = Math.max(LEAST_COLUMNS, columns) - INDENT;
  const [first, ...rest] = wrapped(found, width);
  const indent = " ".repeat(INDENT);
  return [
    `${colour(verdict, verdict.padEnd(6))}${check.padEnd(INDENT - 6)}${first}`,
    ...rest.map((line) => `${indent}${line}`),
    ...(advice === undefined ? [] : wrapped(`> ${advice}`, width)).map((line) => `${indent}${line}`),
  ];
}

/** The last line. */
export function closingLine(findings: readonly Finding[]): string {
  const count = (verdict: Verdict) => findings.filter((finding) => finding.verdict === verdict).length;
  const [failed, odd] = [count("fail"), count("warn")];
  const worth = odd === 0 ? "" : `${odd} ${odd === 1 ? "thing is" : "things are"} worth a look`;
  if (failed === 0) return worth === "" ? "all is well" : `a worker can work here; ${worth}`;
  const stops = `${failed} ${failed === 1 ? "thing keeps" : "things keep"} a worker from working`;
  return worth === "" ? stops : `${stops}; ${worth}`;
}

/** 1 where a worker cannot work. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 1 {
  return findings.some(({ verdict }) => verdict === "fail") ? 1 : 0;
}

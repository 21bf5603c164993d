// The types of run-tests.mjs, which runs without a compiler.

/** What is read of vitest's JSON report. */
export interface Report {
  readonly testResults: readonly {
    /** The file's path. */
    readonly name: string;
    readonly status: string;
    /** In milliseconds, of its first test. */
    readonly startTime: number;
    /** The same of its last. */
    readonly endTime: number;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

export function longestFiles(report: Report | undefined, root: string): string[];
export function closingLine(report: Report | undefined, exitCode: number): string;

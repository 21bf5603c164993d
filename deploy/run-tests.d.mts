// The types of run-tests.mjs, which runs without a compiler.

/** What is read of vitest's JSON report. */
export interface Report {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

export function closingLine(report: Report | undefined, exitCode: number): string;

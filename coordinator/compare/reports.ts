// The three reports of a comparison, written anew after each cell: everything as JSON, a line a cell as CSV, and a
// page.

import { join } from "node:path";
import { writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import type { Comparison } from "./comparison.ts";
import { comparisonCsv } from "./csv.ts";
import { comparisonPage } from "./page.ts";

export const REPORTS = { json: "compare.json", csv: "compare.csv", page: "compare.html" } as const;
const REPORT_FORMAT = 1;

/** @throws STORAGE_FAILED */
export async function writeReports(path: string, comparison: Comparison): Promise<void> {
  const texts: readonly (readonly [string, string])[] = [
    [REPORTS.json, `${JSON.stringify({ format: REPORT_FORMAT, ...comparison }, null, 1)}\n`],
    [REPORTS.csv, comparisonCsv(comparison)],
    [REPORTS.page, comparisonPage(comparison)],
  ];
  for (const [name, text] of texts) {
    const file = join(path, name);
    await writeDurably(file, text).catch((error) => {
      throw storageError(error, file);
    });
  }
}

// Lines of tables for other programs (RFC 4180), whose texts may be strangers'.

export type CsvValue = string | number | boolean | undefined;

function field(value: CsvValue): string {
  const text = String(value ?? "");
  // A spreadsheet takes what begins so for a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Without its end. */
export function csvLine(values: readonly CsvValue[]): string {
  return values.map(field).join(",");
}

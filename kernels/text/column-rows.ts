// Element-wise work on [rows][channels] by invocations that take several rows of their column, and read once what is
// the column's: a software adapter pays for each read, and the parameters of a normalisation are most of what it reads.

/** Rows an invocation takes at most, and the invocations below which none takes more than one. */
const MOST_ROWS = 8;
const ENOUGH_INVOCATIONS = 1024;

/**
 * @param setup statements that see `channel`, the number of the column (or quad), once
 * @param each statements that see `at`, the address of the element (or quad), of every row
 * Reads `index`; declares `channel` and `at`.
 */
export function columnRows(
  rows: number,
  columns: number,
  setup: string,
  each: string,
): { readonly items: number; readonly body: string } {
  const size = rows * columns;
  const most = Math.min(MOST_ROWS, Math.max(1, Math.floor(size / ENOUGH_INVOCATIONS)));
  // The next row is an invocation's own once all others have taken theirs, so that neighbours read neighbouring
  // addresses.
  const items = Math.ceil(rows / most) * columns;
  const body =
    items === size ? `let at = index;\n${each}` : `for (var at = index; at < ${size}u; at += ${items}u) {\n${each}\n}`;
  return { items, body: `let channel = index % ${columns}u;\n${setup}\n${body}` };
}

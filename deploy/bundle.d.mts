// The type of bundle.mjs, which is plain JavaScript.

/** The programs of the npm package, by their sources without the ending. */
export const bundledPrograms: readonly string[];

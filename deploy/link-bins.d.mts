// The type of link-bins.mjs, which runs without a compiler.

/** Links the programs that `package.json` names in `bin` and that are built; returns their names. */
export function linkBins(root: string, platform?: string): string[];

// The type of link-bins.mjs, which runs without a compiler.

/** Links those of the programs that are built, by default a checkout's own; returns their names. */
export function linkBins(root: string, programs?: Readonly<Record<string, string>>, platform?: string): string[];

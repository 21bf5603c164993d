// The type of checkout-path.mjs, which runs without a compiler.

/** What is wrong with the folder of a checkout and what to do; undefined where the tools can work in it. */
export function checkoutPathProblem(root: string, purpose: "build" | "test"): string | undefined;

// What this browser's key has given to each run, over all visits: kept in the browser, beside the key.

import * as z from "zod/mini";

/** Runs that are remembered: those that were given to last. */
export const MOST_RUNS = 50;

const counting = z.int().check(z.gte(0));
const givenSchema = z.object({
  run: z.string(),
  /** SHA-256 of the key: a browser that lost its key begins anew, as the coordinator has it. */
  account: z.string(),
  samples: counting,
  /** Of those, what the run was trained with. */
  trained: counting,
});
const allSchema = z.array(givenSchema);

export type Given = Readonly<z.output<typeof givenSchema>>;

/** What was kept; nothing where a text is none of ours. */
export function givenIn(text: string | null): readonly Given[] {
  try {
    const read = allSchema.safeParse(JSON.parse(text ?? "[]"));
    return read.success ? read.data : [];
  } catch {
    return [];
  }
}

/** What an account has given to a run. */
export function givenTo(all: readonly Given[], run: string, account: string): Given {
  return all.find((one) => one.run === run && one.account === account) ?? { run, account, samples: 0, trained: 0 };
}

/** With what was given now; the run comes to the end, and the first go where there are too many. */
export function withGiven(all: readonly Given[], more: Given): readonly Given[] {
  const before = givenTo(all, more.run, more.account);
  const now = { ...before, samples: before.samples + more.samples, trained: before.trained + more.trained };
  return [...all.filter(({ run }) => run !== more.run), now].slice(-MOST_RUNS);
}

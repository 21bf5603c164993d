// The variables of the environment that our programs read, and those that somebody set in vain.

import { nearest } from "./nearest.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "BITSWARM_";

/** Ours, by name; others (CHROMIUM_PATH, DENO_PATH, XDG_CACHE_HOME) are everybody's. */
export const ownVariables: readonly string[] = [
  "BITSWARM_DATA",
  "BITSWARM_LINK",
  "BITSWARM_PUBLIC_URL",
  "BITSWARM_SEEDS",
  "BITSWARM_TEST_SHARED",
  "BITSWARM_TOKEN",
];

/** A line for each variable that is called as ours are and is none of them. */
export function unknownVariables(environment: Environment): string[] {
  return Object.keys(environment)
    .filter((name) => name.toUpperCase().startsWith(PREFIX) && !ownVariables.includes(name))
    .map((name) => {
      const meant = nearest(
        name.slice(PREFIX.length),
        ownVariables.map((own) => own.slice(PREFIX.length)),
      );
      return `the environment's ${name} means nothing here${meant === undefined ? "" : `; did you mean ${PREFIX}${meant}?`}`;
    });
}

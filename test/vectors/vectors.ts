// The table of vectors: a file each, and what makes it.

import { canary } from "./cases/canary.ts";
import { contributions } from "./cases/contributions.ts";
import { draws, permutations } from "./cases/draws.ts";
import { identity } from "./cases/identity.ts";
import { local } from "./cases/local.ts";
import { manifests } from "./cases/manifests.ts";
import { messages } from "./cases/messages.ts";
import { pairs } from "./cases/pairs.ts";
import { parameters } from "./cases/parameters.ts";
import { shards } from "./cases/shard.ts";
import { steps } from "./cases/steps.ts";
import { views } from "./cases/views.ts";

export const vectors = {
  "draws.json": draws,
  "permutations.json": permutations,
  "canary.json": canary,
  "identity.json": identity,
  "messages.json": messages,
  "manifests.json": manifests,
  "parameters.json": parameters,
  "contributions.json": contributions,
  "shard.json": shards,
  "views.json": views,
  "pairs.json": pairs,
  "steps.json": steps,
  "local.json": local,
} as const;

export type VectorFile = keyof typeof vectors;

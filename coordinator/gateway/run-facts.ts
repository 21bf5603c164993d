// What a gateway must know of a run to begin: its configuration, its data set's manifest, and the run's tokens, which
// are the same everywhere. They come by the bus, where none but coordinators and gateways are.

import { z } from "zod";
import { datasetSchema } from "../../shared/data/dataset.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { decodePlain, encodePlain } from "../../shared/wire/plain-message.ts";

/** Under this name a leader offers them. */
export const FACTS_NAME = "facts";
const secret = z.string().min(1).max(512);

const factsSchema = z.strictObject({
  /** The configuration, as JSON. */
  config: z.string().max(2 ** 18),
  dataset: datasetSchema,
  /** 16 bytes in hex: names the run in frames. */
  runTag: z.string().regex(/^[0-9a-f]{32}$/),
  token: secret,
  operatorToken: secret,
  dashboardToken: secret,
});

export type RunFacts = z.output<typeof factsSchema>;

export function encodeFacts(facts: RunFacts): Uint8Array<ArrayBuffer> {
  return encodePlain(facts);
}

/** @throws MESSAGE_INVALID, FRAME_TOO_LARGE, CONFIG_INVALID */
export function decodeFacts(bytes: Uint8Array) {
  const { config, ...facts } = decodePlain(bytes, factsSchema as unknown as z.ZodType<RunFacts>);
  return { ...facts, config: parseConfig(JSON.parse(config)) };
}

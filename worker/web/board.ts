// The run's board of volunteers, as the coordinator tells it.

import * as z from "zod/mini";

const boardSchema = z.object({
  places: z
    .array(
      z.object({
        nickname: z.string().check(z.maxLength(64)),
        /** The beginning of the account's hash. */
        account: z.string().check(z.maxLength(64)),
        samples: z.int().check(z.gte(0)),
      }),
    )
    .check(z.maxLength(1000)),
});

export type BoardPlace = z.output<typeof boardSchema>["places"][number];

/** Those who want to be seen, the most samples first; undefined where nobody answers. */
export async function fetchBoard(base: string, token: string): Promise<readonly BoardPlace[] | undefined> {
  try {
    const response = await fetch(`${base}/board?token=${encodeURIComponent(token)}`);
    return response.ok ? boardSchema.parse(await response.json()).places : undefined;
  } catch {
    return undefined;
  }
}

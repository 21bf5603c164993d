// What a decision about grants follows, and whom it considers: with ten thousand workers not everybody can be with each
// message of one.

import type { WorkerId } from "../../shared/base/ids.ts";
import {
  type Granting,
  grantBackups,
  grantCopies,
  grantGateways,
  granting,
  grantOverdue,
  grantWork,
} from "./grants.ts";
import { workforce } from "./roster.ts";
import { grantSpares } from "./spares.ts";
import { isLive, type RoundChange, type RoundState } from "./state.ts";

/** What a decision about grants follows, which says whom it considers. */
export type Occasion =
  /** All who wait. */
  | { readonly kind: "all" }
  /**
   * Nothing has changed but for one who asks, if anybody: where leases come in pieces the others are considered at the
   * next tick, so that ten thousand workers are not considered with each of their messages.
   */
  | { readonly kind: "asker"; readonly worker: WorkerId }
  /**
   * A copy is due, perhaps to this worker, and nothing else has changed: one decision's grants may bring many of them.
   */
  | { readonly kind: "copy"; readonly worker: WorkerId | undefined }
  /**
   * What changed is of no use to those who hold a lease, or wait for one to back up or to compare; `begins`: but all
   * who wait for a spare have their turn.
   */
  | { readonly kind: "event"; readonly begins?: boolean };

/**
 * Grants what can be granted now; effect `more` where that is too much for one turn, and then none but copies until
 * `go-on`.
 */
export function grantAll(now: number, state: RoundState, occasion: Occasion): RoundChange {
  const adding = granting(state);
  const { roster, options } = state;
  if (!isLive(state)) return adding;
  const crew = workforce(roster);
  if (crew.idle.size + crew.ahead.size + roster.unproven.idle.size === 0) return adding;
  if (occasion.kind === "copy") {
    grantCopies(now, adding, occasion.worker);
    return adding;
  }
  if (state.grantsPending) return adding;
  const inPieces = options.pieces > 1;
  const asked = occasion.kind === "asker" ? occasion.worker : undefined;
  const asker = inPieces ? asked : undefined;
  if (state.copies.size > 0 && occasion.kind !== "event") grantCopies(now, adding, asked);
  if (asker !== undefined && adding.state.overdue.size > 0) grantOverdue(now, adding, asker);
  if (adding.state.unleased.length > 0) grantWork(now, adding, asker);
  grantGateways(now, adding);
  const helps = inPieces ? occasion.kind === "all" : true;
  if (adding.state.unleased.length === 0 && helps) grantBackups(now, adding);
  grantSpares(now, adding, occasion);
  return withMore(adding);
}

/** What did not fit this turn is granted in the next. */
function withMore(adding: Granting): RoundChange {
  if (adding.left > 0) return adding;
  return { state: { ...adding.state, grantsPending: true }, effects: [...adding.effects, { type: "more" }] };
}

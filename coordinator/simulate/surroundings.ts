// What a virtual volunteer finds around itself.

import type { Dataset } from "../../shared/data/dataset.ts";
import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { OPERATOR_TOKEN_PREFIX } from "../../shared/wire/token-prefixes.ts";
import type { FetchedContent } from "../../worker/content/content-ports.ts";
import type { Account } from "./account.ts";
import type { Profile } from "./profile.ts";
import type { Referee } from "./referee.ts";
import type { Scenario } from "./scenario.ts";
import type { Timeline } from "./timeline.ts";
import type { VirtualLink, VolunteerEnd } from "./virtual-link.ts";

export interface Caller extends VolunteerEnd {
  opened(link: VirtualLink): void;
  /** Nobody listens, or there is no room. */
  refused(): void;
}

/** The operator's token beside the volunteers'. */
export function operatorTokenOf(token: string): string {
  return `${OPERATOR_TOKEN_PREFIX}${token}`;
}

export interface Surroundings {
  readonly timeline: Timeline;
  readonly scenario: Scenario;
  readonly account: Account;
  readonly referee: Referee;
  readonly token: string;
  readonly microbatch: number;
  readonly dataset: Dataset;
  /** 32 bytes that a volunteer's key pair is made of; another one's for each `life` that it pretends to begin. */
  secret(index: number, life?: number): Uint8Array;
  /** Messages get lost or damaged. */
  readonly evil: boolean;
  /** Opens a connection to the coordinator. */
  connect(volunteer: { readonly profile: Profile }, caller: Caller): void;
  /** Fetches from the coordinator what it has by its hash. Rejects where nobody answers. */
  fetch(volunteer: { readonly profile: Profile }, url: string): Promise<FetchedContent>;
  /** A volunteer downloads chunks of the training split. */
  downloaded(chunks: number): void;
  /** The right answer to a canary. */
  canary(seed: number): number;
  layout(lease: LeaseMessage): ContributionLayout;
}

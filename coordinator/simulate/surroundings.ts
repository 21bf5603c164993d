// What a virtual volunteer finds around itself.

import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import type { ParametersFrame } from "../../shared/wire/parameter-frame.ts";
import type { CoordinatorMessage, LeaseMessage } from "../../shared/wire/protocol.ts";
import type { Account } from "./account.ts";
import type { Referee } from "./referee.ts";
import type { Scenario } from "./scenario.ts";
import type { Timeline } from "./timeline.ts";
import type { VirtualLink, VolunteerEnd } from "./virtual-link.ts";
import type { Volunteer } from "./volunteer.ts";

export interface Caller extends VolunteerEnd {
  opened(link: VirtualLink): void;
  /** Nobody listens, or there is no room. */
  refused(): void;
}

export type HeldParameters = Pick<ParametersFrame, "set" | "hash" | "base">;

export interface Surroundings {
  readonly timeline: Timeline;
  readonly scenario: Scenario;
  readonly account: Account;
  readonly referee: Referee;
  readonly token: string;
  readonly microbatch: number;
  /** 32 bytes that a volunteer's key pair is made of. */
  secret(index: number): Uint8Array;
  /** Messages get lost or damaged. */
  readonly evil: boolean;
  /** Opens a connection to the coordinator. */
  connect(volunteer: Pick<Volunteer, "profile">, caller: Caller): void;
  /** What a parameters frame brings; its bytes are verified. @throws FRAME_CORRUPT, FRAME_TRUNCATED, … */
  parameters(frame: Uint8Array): HeldParameters;
  /** What the coordinator says; a status, which many receive, is decoded once. @throws MESSAGE_INVALID */
  decoded(bytes: Uint8Array): CoordinatorMessage;
  /** The right answer to a canary. */
  canary(seed: number): number;
  layout(lease: LeaseMessage): ContributionLayout;
}

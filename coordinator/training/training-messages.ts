// What engine and training thread say to each other. Both are of one build and one process: nothing here is parsed,
// only typed.

import type { Refusal } from "../../shared/base/errors.ts";
import type { StepPlace } from "../../shared/run/program.ts";
import type { CheckpointContents } from "../checkpoint/checkpoint-contents.ts";
import type { StateParts, TrainingState } from "../state/training-state.ts";
import type { HeldWork } from "../sum/contribution.ts";
import type { AuditedWork } from "../sum/open-round.ts";
import type { PartialFacts } from "../sum/partial.ts";
import type { EncodedVersion, VersionContents } from "./downlink-encoder.ts";
import type {
  CheckedFrame,
  ComparedPair,
  ParametersRequest,
  PartOf,
  SealedSum,
  StepResult,
  SumTerms,
  WireParameters,
} from "./training.ts";

/** What the thread begins with. */
export interface ThreadStart extends Pick<TrainingState, "config" | "dataset"> {
  readonly parts: StateParts;
  readonly runTag: string;
}

/** A version with its bytes. */
export interface PostedVersion extends Omit<EncodedVersion, "contents"> {
  readonly contents: (Omit<VersionContents, "whole"> & { readonly whole: Uint8Array<ArrayBuffer> }) | null;
}

/** Calls that are answered, by name: what is asked and what comes back. */
export interface ThreadCalls {
  readonly parameters: {
    readonly asks: { readonly request: ParametersRequest };
    readonly gets: Omit<WireParameters, "versions"> & { readonly versions: readonly PostedVersion[] };
  };
  readonly check: { readonly asks: { readonly slot: number; readonly bytes: Uint8Array }; readonly gets: CheckedFrame };
  readonly compare: {
    readonly asks: { readonly a: AuditedWork; readonly b: AuditedWork };
    readonly gets: ComparedPair;
  };
  readonly partial: { readonly asks: { readonly facts: PartialFacts }; readonly gets: Uint8Array<ArrayBuffer> };
  readonly checkPartial: {
    readonly asks: { readonly number: number; readonly key: string; readonly bytes: Uint8Array };
    readonly gets: PartialFacts;
  };
  readonly seal: { readonly asks: object; readonly gets: SealedSum };
  readonly apply: { readonly asks: { readonly place: StepPlace }; readonly gets: StepResult };
  readonly parametersHash: { readonly asks: { readonly network: string }; readonly gets: string };
  readonly restore: { readonly asks: { readonly parts: StateParts }; readonly gets: null };
  readonly checkpoint: { readonly asks: { readonly run: string }; readonly gets: CheckpointContents };
}

export type ThreadQuestion = {
  [Call in keyof ThreadCalls]: { readonly call: Call; readonly id: number } & ThreadCalls[Call]["asks"];
}[keyof ThreadCalls];

export type ThreadOrder =
  | { readonly call: "open"; readonly terms: SumTerms }
  | { readonly call: "commit"; readonly slot: number; readonly scale: number; readonly of: PartOf }
  | { readonly call: "commitPartial"; readonly number: number }
  | { readonly call: "add"; readonly work: HeldWork; readonly of: PartOf };

export type ThreadReply =
  | { readonly kind: "ready" }
  | { readonly kind: "answer"; readonly id: number; readonly value: ThreadCalls[keyof ThreadCalls]["gets"] }
  | ({ readonly kind: "failed"; readonly id: number } & Refusal);

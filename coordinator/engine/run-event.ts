// What happens in a run, once: the terminal, events.ndjson and the JSON lines each show their part of it.

import type { ErrorCode } from "../../shared/base/errors.ts";
import type { WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import type { ShownScore } from "../../shared/tasks/shown-score.ts";
import type { AdapterDescription, HelloMessage } from "../../shared/wire/protocol.ts";
import type { RequeueCause } from "../round/state.ts";
import type { LayerNumbers } from "../state/layer-numbers.ts";
import type { StepLoss } from "../state/update.ts";
import type { TrustVerdict } from "../trust/audits.ts";
import type { TrustEvent } from "../trust/run-trust.ts";
import type { LeaveCode } from "./leave-code.ts";
import type { StepBytes } from "./traffic.ts";

export type RunEvent =
  | {
      readonly type: "step";
      /** Committed steps, this one included. */
      readonly step: number;
      readonly phase: string;
      readonly network: string;
      /** Of the phase, from 0. */
      readonly epoch: number;
      readonly loss: StepLoss;
      /** On the step's own samples. */
      readonly score: Pick<ShownScore, "name" | "value">;
      /** Training samples committed so far, over all phases. */
      readonly samples: number;
      /** Of this step. */
      readonly stepSamples: number;
      /** While somebody worked on it. */
      readonly workedMs: number;
      readonly workers: number;
      readonly paramsHash: string;
      readonly bytes: StepBytes;
      /** Learning rates by what they are of. */
      readonly rates: Readonly<Record<string, number>>;
      /** What it did to each layer, in a step that is measured. */
      readonly layers?: LayerNumbers;
    }
  | { readonly type: "evaluation"; readonly step: number; readonly network: string; readonly score: ShownScore }
  | { readonly type: "checkpoint"; readonly step: number; readonly path: string }
  | { readonly type: "resumed"; readonly step: number; readonly path: string }
  /** The numbers were lost after steps that hold strangers' work: the run goes on from before, without them. */
  | {
      readonly type: "undone";
      readonly step: number;
      /** The step that it goes on from. */
      readonly to: number;
      readonly accounts: readonly string[];
      /** What was found. */
      readonly message: string;
    }
  | {
      readonly type: "joined";
      readonly worker: WorkerId;
      /** SHA-256 of its public key. */
      readonly account: string;
      readonly name: string;
      readonly runtime: HelloMessage["runtime"];
      readonly adapter: AdapterDescription;
    }
  /** A newcomer's canary was right. */
  | { readonly type: "calibrated"; readonly worker: WorkerId; readonly elapsedMs: number }
  | { readonly type: "left"; readonly worker: WorkerId; readonly code: LeaveCode; readonly message: string }
  /** A worker's connection was lost; it may come back to its session. */
  | { readonly type: "worker-suspended"; readonly worker: WorkerId; readonly code: LeaveCode; readonly message: string }
  | { readonly type: "worker-resumed"; readonly worker: WorkerId }
  /** A connection that was closed before it joined. */
  | {
      readonly type: "turned-away";
      readonly code: LeaveCode;
      readonly message: string;
      /** As addresses are counted. */
      readonly address: string;
    }
  | { readonly type: "returned"; readonly worker: WorkerId; readonly reason: string; readonly detail: string }
  | { readonly type: "refused"; readonly worker: WorkerId; readonly code: ErrorCode; readonly message: string }
  | {
      readonly type: "requeued";
      readonly worker: WorkerId;
      /** Positions of the pass, ascending. */
      readonly ranges: readonly Range[];
      readonly cause: RequeueCause;
    }
  /** What worker `of` has not answered is computed by another one too. */
  | {
      readonly type: "backed-up";
      readonly worker: WorkerId;
      readonly ranges: readonly Range[];
      readonly of: WorkerId;
    }
  /** Samples of the step that were late and go to the next one. */
  | { readonly type: "carried"; readonly step: number; readonly samples: number }
  /** An audit is over. */
  | ({ readonly type: "audited"; readonly ranges: readonly Range[] } & Pick<TrustVerdict, "right" | "wrong">)
  | Extract<TrustEvent, { type: "rests" }>
  /** So many more of one kind, none of which is told, in so many seconds. */
  | { readonly type: "repeated"; readonly of: string; readonly times: number; readonly seconds: number }
  /** How many there were of each kind, told or not, since the coordinator began. */
  | { readonly type: "totals"; readonly events: Readonly<Record<string, number>> }
  /** Of a run that several coordinators drive: this one leads from here on. */
  | { readonly type: "leads"; readonly id: string; readonly epoch: number; readonly step: number }
  /** This one follows whoever leads, where that is known. */
  | { readonly type: "follows"; readonly id: string; readonly leader: string | null; readonly step: number }
  /** Something that a person should know and that no other event says. */
  | { readonly type: "notice"; readonly message: string };

export type OnRunEvent = (event: RunEvent) => void;

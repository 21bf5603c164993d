// The arithmetic of tracking that needs no device, by the op's name: crops, boxes, the update of a track, metrics.

import type { Comparison } from "../compare.ts";
import type { OracleCase } from "../oracle-case.ts";
import { verifyCrop, verifyLabels, verifyPairFilter, verifyPolygon, verifyTrainView } from "./crop-cases.ts";
import { verifyGot10kMetrics, verifyMetrics } from "./score-cases.ts";
import { verifyHann, verifyTrackSteps, verifyUpsample } from "./step-cases.ts";

export type VerifyTracking = (test: OracleCase) => readonly Comparison[];

/** One line an op. */
export const trackingOperations: Readonly<Record<string, VerifyTracking>> = {
  crop: verifyCrop,
  train_view: verifyTrainView,
  polygon: verifyPolygon,
  pair_filter: verifyPairFilter,
  labels: verifyLabels,
  hann: verifyHann,
  upsample: verifyUpsample,
  track_steps: verifyTrackSteps,
  metrics: verifyMetrics,
  metrics_got10k: verifyGot10kMetrics,
};

// A WebGPU device as the session sees it: the one place where trainers of real runs are made.

import type { OpenDevice } from "../device.ts";
import type { TuningOptions } from "../tuning/tuning-options.ts";
import { answerCanary } from "./canary.ts";
import { createTrainer } from "./trainer.ts";
import type { ComputeDevice, TrainerCircumstances } from "./trainer-contract.ts";

/** @param tuning how its trainers tune their kernels */
export function gpuDevice(
  open: OpenDevice,
  tuning: (circumstances: TrainerCircumstances) => TuningOptions,
): ComputeDevice {
  const { device, adapter } = open;
  return {
    adapter,
    lost: device.lost.then(({ message, reason }) => message || reason),
    createTrainer: (run, circumstances) => createTrainer(device, run, tuning(circumstances), circumstances.duty),
    answerCanary: (layers, seed) => answerCanary(open, layers, seed),
    close: () => device.destroy(),
  };
}

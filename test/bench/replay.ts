// Launches bound to the buffers of a recording, each one replayable alone: what share of a step belongs to which
// kernels.

import type { PipelineCache } from "../../worker/pipeline-cache.ts";
import type { Launch, Ref } from "../../worker/plan/launch-list.ts";

export interface Bound {
  readonly launch: Launch;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

export async function bind(
  cache: PipelineCache,
  launches: readonly Launch[],
  rangeOf: (ref: Ref) => GPUBufferBinding,
): Promise<readonly Bound[]> {
  return Promise.all(
    launches.map(async (launch) => {
      const { pipeline, layout } = await cache.get(launch.kernel);
      const bindGroup = cache.device.createBindGroup({
        layout,
        entries: launch.refs.map((ref, binding) => ({
          binding,
          resource: rangeOf(ref),
        })),
      });
      return { launch, pipeline, bindGroup };
    }),
  );
}

/** Bytes of the ranges that a launch binds, each counted once: what it moves at least. */
export function boundBytes({ launch }: Bound): number {
  return launch.refs.reduce((sum, { bytes }) => sum + bytes, 0);
}

export function dispatch(pass: GPUComputePassEncoder, { launch, pipeline, bindGroup }: Bound): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...launch.kernel.grid);
}

/** Submits the launches so many times over as one compute pass. */
export function submit(device: GPUDevice, bound: readonly Bound[], times: number): void {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < times; i++) for (const each of bound) dispatch(pass, each);
  pass.end();
  device.queue.submit([encoder.finish()]);
}

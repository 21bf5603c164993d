// A Deno worker that trains as with an int8 backward: the argument is the run's link. Reports as worker/platform/deno/main.ts, and
// comparisons of gradients as JSON lines.
import { findGpu, requestDevice } from "../../../worker/device.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import { runSession } from "../../../worker/session/session.ts";
import { gpuDevice } from "../../../worker/trainer/gpu-device.ts";
import { untuned } from "../../../worker/tuning/tuning-options.ts";
import { roundingTrainer } from "./rounding-trainer.ts";

declare const Deno: {
  readonly args: readonly string[];
  readonly stdin: { readonly readable: ReadableStream<Uint8Array> };
  exit(code: number): never;
};

const report = (line: object) => console.log(JSON.stringify(line));

const session = runSession({
  url: Deno.args[0],
  name: "int8",
  runtime: "deno",
  ports: runtimePorts(),
  openDevice: async () => {
    const open = await requestDevice(findGpu(globalThis));
    const { description, vendor } = open.adapter;
    return {
      ...gpuDevice(open, (circumstances) => untuned(open, circumstances)),
      createTrainer: ({ config, dataset }, circumstances) => {
        report({ adapter: description || vendor });
        return roundingTrainer(open.device, config, dataset, untuned(open, circumstances), report);
      },
    };
  },
  onEvent: (event) => {
    if (event.type === "joined") report({ event: "joined", worker: event.worker });
  },
});

// Standard input ends with the process that started this one.
const reader = Deno.stdin.readable.getReader();
const orphaned = async () => {
  while (!(await reader.read()).done);
  Deno.exit(1);
};
orphaned();

const end = await session.ended;
report(end.kind === "failed" ? { event: "failed", code: end.code, message: end.message } : { event: "ended" });
Deno.exit(end.kind === "failed" ? 1 : 0);

// The int8 measurement in Deno, on the driver that its environment names: JSON lines on standard output.
import { findGpu, requestDevice } from "../../../worker/device.ts";
import { measure } from "./measurement.ts";

const { device, adapter } = await requestDevice(findGpu(globalThis));
for await (const line of measure(device, `Deno, ${adapter.description || adapter.vendor}`))
  console.log(JSON.stringify(line));
device.destroy();

// The device's rules: everything that the adapter has is asked for, and a missing WebGPU says why and what to do.

import { expect, test } from "vitest";
import { create, globals } from "webgpu";
import { adapterTraits, describeAdapter, findAdapter, findGpu, requestDevice } from "../../worker/device.ts";
import { vulkanDriver } from "../fixtures/device.ts";

// Dawn's instance is collected, and crashes, unless something holds it.
const kept = globalThis as typeof globalThis & { bitswarmDeviceTestGpu?: GPU };

function realGpu(): GPU {
  Object.assign(globalThis, globals);
  Object.assign(process.env, vulkanDriver());
  kept.bitswarmDeviceTestGpu ??= create([]);
  return kept.bitswarmDeviceTestGpu;
}

test("a real adapter gives a device with the adapter's own limits and a description", async () => {
  const gpu = realGpu();
  const limits = (await findAdapter(gpu)).limits;
  const { device, adapter } = await requestDevice(gpu);
  for (const name of [
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxComputeWorkgroupStorageSize",
    "maxStorageBuffersPerShaderStage",
  ] as const)
    expect(device.limits[name]).toBe(limits[name]);
  expect(adapter.description).not.toBe("");
  device.destroy();
});

test("optional features are asked for where the adapter has them, and nothing else is", async () => {
  const gpu = realGpu();
  const { features, limits } = await findAdapter(gpu);
  const open = await requestDevice(gpu);
  for (const name of ["shader-f16", "subgroups"] as const)
    expect(open.device.features.has(name)).toBe(features.has(name));
  expect(open.device.features.has("timestamp-query")).toBe(false);
  expect(adapterTraits(open)).toEqual({
    software: open.adapter.software,
    workgroupMemory: limits.maxComputeWorkgroupStorageSize,
    invocations: limits.maxComputeInvocationsPerWorkgroup,
    f16: features.has("shader-f16"),
    subgroups: features.has("subgroups"),
  });
  open.device.destroy();
});

/** An adapter that says this of itself. */
function saying(info: object, own: object = {}): GPUAdapter {
  return {
    info: { vendor: "", architecture: "", device: "", description: "", ...info },
    ...own,
  } as unknown as GPUAdapter;
}

test.each([
  [
    "Chromium's SwiftShader",
    saying({ vendor: "google", architecture: "swiftshader", description: "SwiftShader driver 5.0.0" }),
  ],
  [
    "Deno's SwiftShader",
    saying({ vendor: "6880", description: "SwiftShader Device (Subzero)", isFallbackAdapter: true }),
  ],
  ["lavapipe", saying({ vendor: "65541", description: "llvmpipe (LLVM 15.0.6, 256 bits)" })],
  ["WARP", saying({ description: "Microsoft Basic Render Driver" })],
  ["a flag on the adapter itself", saying({ vendor: "x" }, { isFallbackAdapter: true })],
])("%s is software", (_name, adapter) => {
  expect(describeAdapter(adapter).software).toBe(true);
});

test("a GPU is not software, and its description is cut to what the protocol carries", () => {
  const adapter = saying({ vendor: "nvidia", architecture: "ada", description: "x".repeat(1000) });
  expect(describeAdapter(adapter)).toEqual({
    vendor: "nvidia",
    architecture: "ada",
    description: "x".repeat(512),
    software: false,
  });
});

test("an insecure page is told that it needs https or localhost", () => {
  const scope = {
    navigator: {},
    isSecureContext: false,
    location: { protocol: "http:", host: "192.168.1.20:8080", port: "8080" },
  };
  expect(() => findGpu(scope)).toThrow(
    expect.objectContaining({
      code: "WEBGPU_MISSING",
      message: expect.stringMatching(/http:\/\/192\.168\.1\.20:8080.*https:.*localhost:8080/),
    }),
  );
});

test("a browser without WebGPU is told which have it", () => {
  expect(() => findGpu({ navigator: {}, isSecureContext: true })).toThrow(/no WebGPU.*Chrome.*Firefox.*Safari/);
});

test.each([
  ["gives no adapter", async () => null],
  ["fails to look for one", () => Promise.reject(new Error("GPU process crashed"))],
])(
  "WebGPU that %s is WEBGPU_MISSING with the driver, the block list and the Linux flag",
  async (_name, requestAdapter) => {
    const error = await requestDevice({ requestAdapter } as unknown as GPU).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: "WEBGPU_MISSING",
      message: expect.stringMatching(/driver.*block list.*Linux/),
    });
  },
);

test("an adapter that refuses a device says so with its name", async () => {
  const adapter = saying(
    { description: "Tired GPU" },
    { limits: {}, features: new Set(), requestDevice: () => Promise.reject(new Error("out of memory")) },
  );
  const gpu = { requestAdapter: async () => adapter } as unknown as GPU;
  await expect(requestDevice(gpu)).rejects.toMatchObject({
    code: "WEBGPU_MISSING",
    message: expect.stringMatching(/Tired GPU.*out of memory/),
  });
});

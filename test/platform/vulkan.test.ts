// Rules of telling a machine with a GPU from one without, each on a file system laid out like such a machine's.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { hasHardwareGpu, softwareVulkanDriver } from "../../worker/platform/node/vulkan.ts";

const mesa = ["intel_icd.x86_64.json", "radeon_icd.x86_64.json", "virtio_icd.x86_64.json", "lvp_icd.x86_64.json"].map(
  (name) => `usr/share/vulkan/icd.d/${name}`,
);
const vendorOf = (vendor: string) => ({
  "sys/class/drm/renderD128/device/vendor": `${vendor}\n`,
  "dev/dri/renderD128": "",
});

function machine(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(path.join(tmpdir(), "bitswarm-machine-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), text);
  }
  return root;
}

const drivers = (paths: readonly string[]) => Object.fromEntries(paths.map((file) => [file, "{}"]));

test.each([
  { what: "Mesa's drivers without a device", files: drivers(mesa), gpu: false },
  { what: "an AMD device with Mesa", files: { ...drivers(mesa), ...vendorOf("0x1002") }, gpu: true },
  { what: "an AMD device without a driver", files: vendorOf("0x1002"), gpu: false },
  { what: "a virtual machine's display with Mesa", files: { ...drivers(mesa), ...vendorOf("0x1af4") }, gpu: false },
  { what: "NVIDIA's kernel driver alone", files: { "dev/nvidiactl": "" }, gpu: false },
  {
    what: "NVIDIA's kernel driver and its Vulkan driver",
    files: { "dev/nvidiactl": "", "etc/vulkan/icd.d/nvidia_icd.json": "{}" },
    gpu: true,
  },
  {
    what: "a board's own GPU",
    files: { "dev/dri/renderD128": "", "usr/share/vulkan/icd.d/panfrost_icd.aarch64.json": "{}" },
    gpu: true,
  },
])("hasHardwareGpu is $gpu for $what", ({ files, gpu }) => {
  expect(hasHardwareGpu({ root: machine(files), platform: "linux" })).toBe(gpu);
});

test("hasHardwareGpu takes the system's driver for granted on macOS and Windows", () => {
  expect(hasHardwareGpu({ platform: "darwin" })).toBe(true);
  expect(hasHardwareGpu({ platform: "win32" })).toBe(true);
});

test("softwareVulkanDriver prefers lavapipe to SwiftShader, and is undefined where there is neither", () => {
  const swiftshader = { "usr/lib/chromium/vk_swiftshader_icd.json": "{}" };
  const both = machine({ ...drivers(mesa), ...swiftshader });
  const one = machine(swiftshader);
  expect(softwareVulkanDriver({ root: both, platform: "linux" })).toBe(
    `${both}/usr/share/vulkan/icd.d/lvp_icd.x86_64.json`,
  );
  expect(softwareVulkanDriver({ root: one, platform: "linux" })).toBe(
    `${one}/usr/lib/chromium/vk_swiftshader_icd.json`,
  );
  expect(softwareVulkanDriver({ root: machine({}), platform: "linux" })).toBe(undefined);
});

// Says whether this machine has a GPU with a driver, and which software driver stands in where it has none.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

/** Which file system to look at; tests lay one out in a temporary folder. */
export interface VulkanSearch {
  readonly root?: string;
  readonly platform?: NodeJS.Platform;
}

const icdFolders = ["usr/share/vulkan/icd.d", "usr/local/share/vulkan/icd.d", "etc/vulkan/icd.d"];
const swiftshaderFolders = ["usr/lib/chromium", "usr/lib64/chromium", "usr/lib/chromium-browser", "opt/google/chrome"];

/**
 * PCI vendor ids and the drivers that serve them. Virtio is left out: its driver is installed with Mesa whether or not
 * the host lends a GPU.
 */
const driversOfVendor: Readonly<Record<string, RegExp>> = {
  "0x1002": /^(radeon|amd)/,
  "0x8086": /^intel/,
  "0x10de": /^(nvidia|nouveau)/,
};
const driversOfBoards = /^(asahi|broadcom|freedreno|panfrost|powervr|tegra|nvidia)/;

/**
 * Whether a GPU and a Vulkan driver for it are both there. On macOS and Windows the system's own driver (Metal,
 * Direct3D 12) is taken for granted.
 */
export function hasHardwareGpu(search: VulkanSearch = {}): boolean {
  const root = search.root ?? "/";
  if ((search.platform ?? process.platform) !== "linux") return true;
  const drivers = installedDrivers(root).map((file) => path.basename(file));
  if (existsSync(path.join(root, "dev/nvidiactl")) && drivers.some((name) => name.startsWith("nvidia"))) return true;
  const nodes = filesIn(path.join(root, "dev/dri")).filter((name) => name.startsWith("renderD"));
  return nodes.some((node) => {
    const vendorFile = path.join(root, "sys/class/drm", node, "device/vendor");
    // A GPU on a board's own bus has no PCI vendor.
    const wanted = existsSync(vendorFile) ? driversOfVendor[readFileSync(vendorFile, "utf8").trim()] : driversOfBoards;
    return wanted !== undefined && drivers.some((name) => wanted.test(name));
  });
}

/**
 * The ICD file of the best software driver for Deno: Mesa's lavapipe, before the SwiftShader that Chromium brings. A
 * LeNet step takes half the time there and its pipelines a tenth: LLVM has the CPU's wide vectors, SwiftShader's
 * Subzero has SSE4.1.
 */
export function softwareVulkanDriver(search: VulkanSearch = {}): string | undefined {
  const root = search.root ?? "/";
  if ((search.platform ?? process.platform) !== "linux") return undefined;
  const lavapipe = installedDrivers(root).find((file) => path.basename(file).startsWith("lvp_icd"));
  return (
    lavapipe ??
    swiftshaderFolders
      .map((folder) => path.join(root, folder, "vk_swiftshader_icd.json"))
      .find((file) => existsSync(file))
  );
}

function installedDrivers(root: string): string[] {
  return icdFolders.flatMap((folder) =>
    filesIn(path.join(root, folder))
      .filter((name) => name.endsWith(".json"))
      .map((name) => path.join(root, folder, name)),
  );
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

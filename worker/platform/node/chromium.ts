// Finds an installed Chromium and knows the flags that give it a WebGPU adapter in a tab that nobody looks at.
import { closeSync, existsSync, openSync, readSync, statfsSync } from "node:fs";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { findProgram } from "./find-program.ts";

const programNames = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/**
 * The program of an installed Chromium or Chrome: `CHROMIUM_PATH`, else PATH, else where macOS and Windows keep it.
 * @throws BitswarmError RUNTIME_MISSING
 */
export function findChromium(env: NodeJS.ProcessEnv = process.env): string {
  const named = env.CHROMIUM_PATH;
  if (named) {
    if (existsSync(named)) return named;
    throw new BitswarmError(
      "RUNTIME_MISSING",
      `CHROMIUM_PATH names ${named}, which does not exist: correct or unset it`,
    );
  }
  const onPath = programNames.map((name) => findProgram(name, env)).find((file) => file && !startsSnap(file));
  const found = onPath ?? applicationPaths(env).find((file) => existsSync(file));
  if (found) return found;
  throw new BitswarmError(
    "RUNTIME_MISSING",
    `no Chromium: none of ${programNames.join(", ")} is on PATH (Ubuntu's snap does not count). Install one ` +
      `(npm run setup, or npx bitswarm setup, tells how), let CHROMIUM_PATH name its program, or use --runtime deno`,
  );
}

/** Ubuntu's package is a script that starts the snap, whose confinement hides our temporary profile from it. */
function startsSnap(file: string): boolean {
  const beginning = Buffer.alloc(4096);
  const descriptor = openSync(file, "r");
  try {
    const bytes = readSync(descriptor, beginning, 0, beginning.length, 0);
    return beginning.toString("latin1", 0, bytes).includes("/snap/bin/");
  } finally {
    closeSync(descriptor);
  }
}

function applicationPaths(env: NodeJS.ProcessEnv): string[] {
  if (process.platform === "darwin") {
    return ["Google Chrome", "Chromium"].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`);
  }
  if (process.platform !== "win32") return [];
  const roots = [env.PROGRAMFILES, env["PROGRAMFILES(X86)"], env.LOCALAPPDATA].filter((root) => root !== undefined);
  return roots.map((root) => `${root}\\Google\\Chrome\\Application\\chrome.exe`);
}

export interface ChromiumOptions {
  /** Use SwiftShader, which Chromium brings, in place of a GPU. */
  readonly software: boolean;
  readonly headless: boolean;
  /**
   * The origin of a page that is served over plain http from another machine: browsers keep `navigator.gpu` and
   * Cache storage from it unless they are told to trust it. Only for a page that the person at this machine chose.
   */
  readonly trustedOrigin?: string;
  /**
   * Leaves out the clamping of every index that Dawn adds to WGSL ("robustness"), which a software adapter pays for at
   * each access; ignored with a GPU, where it costs little and the address space is the driver's. Safe for a browser
   * that a launcher starts for our page alone: the only WGSL it runs is our own, in which every index is in bounds
   * (test/kernels/in-bounds.device.test.ts compares each with its buffer's length; `npm run verify -- DIR --runtime
   * browser --unclamped` runs all of it so), in a process of its own with an empty profile, which holds nobody's data.
   * Never asked of volunteers, whose browser shows other pages too.
   */
  readonly unclamped?: boolean;
  /** Chromium's sandbox refuses to run as root. Default: whether this process is root. */
  readonly asRoot?: boolean;
  readonly platform?: NodeJS.Platform;
}

/** The complete command line but for the profile and the debugging channel. */
export function chromiumArguments(options: ChromiumOptions): string[] {
  const platform = options.platform ?? process.platform;
  const linux = platform === "linux";
  const hardwareOnLinux = linux && !options.software;
  const features = hardwareOnLinux ? ["Vulkan"] : [];
  return [
    ...(options.headless ? ["--headless=new", "--hide-scrollbars"] : []),
    ...((options.asRoot ?? process.getuid?.() === 0) ? ["--no-sandbox"] : []),
    ...(linux && sharedMemoryIsSmall() ? ["--disable-dev-shm-usage"] : []),
    "--enable-unsafe-webgpu",
    ...(options.software ? ["--use-webgpu-adapter=swiftshader"] : []),
    ...(options.software && options.unclamped ? ["--enable-dawn-features=disable_robustness"] : []),
    ...(hardwareOnLinux ? ["--use-angle=vulkan", "--ignore-gpu-blocklist"] : []),
    ...(hardwareOnLinux && options.headless ? ["--disable-vulkan-surface"] : []),
    ...(features.length > 0 ? [`--enable-features=${features.join(",")}`] : []),
    ...(options.trustedOrigin ? [`--unsafely-treat-insecure-origin-as-secure=${options.trustedOrigin}`] : []),
    ...steadyWork,
    ...quietBrowser,
  ];
}

/** Timers and rendering go on in hidden tabs, and two deaths of the GPU process do not lock the page out of WebGPU. */
const steadyWork = [
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--disable-hang-monitor",
  "--disable-domain-blocking-for-3d-apis",
  "--disable-gpu-process-crash-limit",
];

/** No traffic of the browser's own, no first-run pages, no prompts. */
const quietBrowser = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-default-apps",
  "--disable-extensions",
  "--disable-breakpad",
  "--disable-crash-reporter",
  "--disable-client-side-phishing-detection",
  "--disable-search-engine-choice-screen",
  "--disable-popup-blocking",
  "--disable-prompt-on-repost",
  "--disable-quic",
  "--disable-features=Translate,MediaRouter,OptimizationHints",
  "--metrics-recording-only",
  "--mute-audio",
  "--no-default-browser-check",
  "--no-first-run",
  "--password-store=basic",
  "--use-mock-keychain",
];

/** Containers often give /dev/shm 64 MiB, and a page that uploads one batch of images fills it. */
function sharedMemoryIsSmall(): boolean {
  try {
    const { bsize, bavail } = statfsSync("/dev/shm");
    return bsize * bavail < 1 << 30;
  } catch {
    return true;
  }
}

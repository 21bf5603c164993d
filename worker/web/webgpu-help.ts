// What a volunteer can do where WebGPU is missing, by browser and system: a pure function of what the browser calls
// itself.

/** What is in the way: a page that is not secure, no WebGPU at all, or no adapter behind it. */
export type Lacking = "secure" | "webgpu" | "adapter";

export type BrowserName = "chrome" | "edge" | "firefox" | "safari" | "other";
export type SystemName = "windows" | "macos" | "linux" | "chromeos" | "android" | "ios" | "other";

export interface BrowserKind {
  readonly name: BrowserName;
  readonly version: number | undefined;
  readonly system: SystemName;
}

/** @param touchPoints navigator.maxTouchPoints: an iPad calls itself a Mac, which has none */
export function browserOf(userAgent: string, touchPoints = 0): BrowserKind {
  const system = systemOf(userAgent, touchPoints);
  const found = (name: BrowserName, mark: RegExp): BrowserKind | undefined => {
    const version = mark.exec(userAgent)?.[1];
    return version === undefined ? undefined : { name, version: Number(version), system };
  };
  // Each calls itself what those before it were called, too.
  return (
    found("edge", /Edg(?:A|iOS)?\/(\d+)/) ??
    found("firefox", /(?:Firefox|FxiOS)\/(\d+)/) ??
    found("chrome", /(?:Chrome|CriOS|Chromium)\/(\d+)/) ??
    found("safari", /Version\/(\d+)[\d.]* (?:Mobile\/\S+ )?Safari\//) ?? { name: "other", version: undefined, system }
  );
}

function systemOf(userAgent: string, touchPoints: number): SystemName {
  if (/iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && touchPoints > 1)) return "ios";
  if (/Android/.test(userAgent)) return "android";
  if (/Windows/.test(userAgent)) return "windows";
  if (/Macintosh/.test(userAgent)) return "macos";
  if (/CrOS/.test(userAgent)) return "chromeos";
  return /Linux|X11/.test(userAgent) ? "linux" : "other";
}

const another = "Or open this link in another browser: a current Chrome, Edge, Firefox or Safari.";

/** What to do, one thing after the other; of a page that is not secure its notice says all. */
export function helpWith(lacking: Lacking, browser: BrowserKind): readonly string[] {
  switch (lacking) {
    case "secure":
      return [];
    case "webgpu":
      return withoutWebGpu(browser);
    case "adapter":
      return withoutAdapter(browser);
    default:
      return lacking satisfies never;
  }
}

function withoutWebGpu({ name, system }: BrowserKind): readonly string[] {
  // There every browser is Safari inside.
  if (system === "ios") {
    return [
      "Update to iOS or iPadOS 26 or later: Settings, General, Software Update.",
      "On iOS 18 it can be switched on: Settings, Apps, Safari, Advanced, Feature Flags, WebGPU.",
    ];
  }
  switch (name) {
    case "firefox":
      if (system === "android") return ["Firefox for Android has no WebGPU yet: open this link in Chrome."];
      if (system === "linux") {
        return [
          "Type about:config into the address bar, look for dom.webgpu.enabled, set it to true, and restart Firefox.",
          "Where that is not enough, take Firefox Nightly or a current Chrome.",
        ];
      }
      return [
        "Update Firefox: menu, Help, About Firefox. Windows has WebGPU from 141 on, a Mac with an Apple chip from 145.",
        another,
      ];
    case "safari":
      return [
        "Update to macOS 26, or to Safari 26 or later.",
        "In Safari 18 it can be switched on: Settings, Advanced, Show features for web developers; then Feature Flags, WebGPU.",
        another,
      ];
    case "chrome":
    case "edge":
      if (system === "linux") {
        return [
          `Open ${name}://flags/#enable-unsafe-webgpu, choose Enabled, and restart the browser.`,
          `Where that is not enough, enable ${name}://flags/#enable-vulkan too.`,
        ];
      }
      if (system === "android") return ["Update Chrome to 121 or later; it wants Android 12 or later."];
      return ["Update the browser to 113 or later: menu, Help, About.", another];
    case "other":
      return ["Open this link in a current Chrome, Edge, Firefox or Safari."];
    default:
      return name satisfies never;
  }
}

function withoutAdapter({ name, system }: BrowserKind): readonly string[] {
  const update = "Update the graphics driver, and restart the machine.";
  switch (name) {
    case "firefox":
      return [
        "Switch hardware acceleration on: Settings, General, Performance.",
        update,
        "about:support, under Graphics, tells what Firefox found.",
      ];
    case "safari":
      return ["Restart the browser, and update the system.", another];
    case "chrome":
    case "edge": {
      if (system === "android")
        return ["Update Chrome and the phone; the oldest graphics chips have no driver for this."];
      const accelerate = `Switch graphics acceleration on: ${name}://settings/system, then restart the browser.`;
      const tells = `${name}://gpu tells what the browser found, and what it left out.`;
      if (system !== "linux") return [accelerate, update, tells];
      return [
        accelerate,
        `Enable ${name}://flags/#enable-unsafe-webgpu and ${name}://flags/#enable-vulkan, and restart the browser.`,
        "Install the graphics chip's Vulkan driver; on Debian and Ubuntu it is in the package mesa-vulkan-drivers.",
        tells,
      ];
    }
    case "other":
      return [update, another];
    default:
      return name satisfies never;
  }
}

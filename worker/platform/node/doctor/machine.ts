// Says what is wrong with this machine, from what was seen of it; pure, so that each kind of machine has a test.

import { type Finding, fail, ok, warn } from "./finding.ts";

/** The least Node that this program is written for. */
const LEAST_NODE = [20, 19] as const;

export function programFinding(version: string, node: string): Finding {
  const [major = 0, minor = 0] = node.split(".").map(Number);
  const found = `bitswarm ${version} on Node ${node}`;
  const old = major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1]);
  return old ? fail("program", found, `Node ${LEAST_NODE.join(".")} or later is due`) : ok("program", found);
}

/** A GPU's place in the system, as far as files tell. */
export interface GpuNode {
  readonly path: string;
  readonly vendor: string;
  /** Whether this user may open it. */
  readonly open: boolean;
}

export interface DriverFact {
  readonly platform: string;
  /** A GPU and its Vulkan driver are both there. */
  readonly hardware: boolean;
  readonly nodes: readonly GpuNode[];
  /** The driver that computes on the processor. */
  readonly software: string | undefined;
}

export function driverFinding({ platform, hardware, nodes, software }: DriverFact): Finding {
  if (platform !== "linux") return ok("driver", "the system's own");
  const shut = nodes.find(({ open }) => !open);
  if (hardware && shut === undefined) {
    return ok("driver", `a Vulkan driver for ${nodes.map(({ vendor }) => vendor).join(" and ") || "an NVIDIA GPU"}`);
  }
  if (shut !== undefined) {
    return warn(
      "driver",
      `there is a GPU of ${shut.vendor}, but this user may not open ${shut.path}`,
      "add the user to the group that has it (usermod -aG render USER), and sign in again",
    );
  }
  const without =
    software === undefined
      ? "no Vulkan driver that computes on the processor either"
      : `${software} computes on the processor`;
  if (nodes.length > 0) {
    const [{ vendor }] = nodes;
    const driver = vendor === "NVIDIA" ? "NVIDIA's driver" : "mesa-vulkan-drivers";
    return warn("driver", `there is a GPU of ${vendor} without its Vulkan driver; ${without}`, `install ${driver}`);
  }
  if (software !== undefined) {
    return warn(
      "driver",
      `no GPU is seen; ${without}`,
      "that works, much slower than a GPU; in a container, hand the GPU in (--device /dev/dri, or NVIDIA's runtime)",
    );
  }
  return warn(
    "driver",
    `no GPU is seen, and ${without}`,
    "install the GPU's Vulkan driver, or mesa-vulkan-drivers; browsers bring SwiftShader",
  );
}

/** What a runtime said of its adapter, once a kernel ran there. */
export type AdapterFact =
  | {
      readonly kind: "adapter";
      /** As people call it. */
      readonly description: string;
      readonly software: boolean;
      /** A convolution of bits gave the sums that it must. */
      readonly right: boolean;
      readonly limits: Readonly<Record<string, number>>;
      readonly features: readonly string[];
    }
  | { readonly kind: "failed"; readonly code: string; readonly message: string }
  | { readonly kind: "silent"; readonly ms: number };

export type RuntimeName = "deno" | "browser";

/** What WebGPU promises of every adapter, and kernels are written for. */
const PROMISED: Readonly<Record<string, number>> = {
  maxStorageBufferBindingSize: 128 << 20,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16 << 10,
};

/** @param hardware whether this machine's files show a GPU with its driver */
export function adapterFinding(runtime: RuntimeName, fact: AdapterFact, hardware: boolean): Finding {
  const check = `gpu in ${runtime === "deno" ? "Deno" : "browser"}`;
  switch (fact.kind) {
    case "silent":
      return fail(
        check,
        `it gives no answer in ${fact.ms / 1000} s`,
        "the driver may hang: restart the machine, or update the driver; a machine that is very busy may be slow",
      );
    case "failed":
      return fail(
        check,
        `${fact.code}: ${fact.message}`,
        "see the line about the driver; npm run setup, or npx bitswarm setup, tells what to install",
      );
    case "adapter": {
      const { description, software, right, limits, features } = fact;
      if (!right) {
        return fail(
          check,
          `${description} computes other sums than every right GPU`,
          "its driver is broken: update it. Coordinators refuse such workers (CALIBRATION_FAILED)",
        );
      }
      const low = Object.entries(PROMISED).filter(([name, least]) => (limits[name] ?? 0) < least);
      if (low.length > 0) {
        const said = low.map(([name, least]) => `${name} is ${limits[name] ?? 0}, not ${least}`).join(", ");
        return fail(
          check,
          `${description} has less than WebGPU promises: ${said}`,
          "update the browser and the driver",
        );
      }
      const extras = features.length === 0 ? "" : `, with ${features.join(" and ")}`;
      const found = `${description}${extras}, computes right`;
      if (!software) return ok(check, found);
      return hardware
        ? warn(
            check,
            `${found}, but on the processor`,
            "a GPU and its driver are there and this runtime does not take them: update both",
          )
        : warn(check, `${found}, on the processor`, "it works, much slower than a GPU");
    }
    default:
      return fact satisfies never;
  }
}

export type ProgramFact =
  | { readonly kind: "found"; readonly version: string }
  | { readonly kind: "missing"; readonly message: string };

/** @param other whether workers can run on the other runtime */
export function runtimeFinding(runtime: RuntimeName, fact: ProgramFact, other: boolean): Finding {
  if (fact.kind === "found") return ok(runtime, fact.version);
  const advice = other
    ? `--runtime ${runtime === "deno" ? "browser" : "deno"} does without`
    : "one of Deno and a Chromium is needed: npm run setup, or npx bitswarm setup, tells how";
  return other ? warn(runtime, fact.message, advice) : fail(runtime, fact.message, advice);
}

export type FolderFact =
  | { readonly kind: "writable"; readonly folder: string; readonly freeBytes: number }
  | { readonly kind: "refused"; readonly folder: string; readonly why: string };

/** Below this, data are fetched again and again, and a browser's profile may not fit. */
const LEAST_FREE_BYTES = 2 ** 30;

export function storageFinding(folders: readonly FolderFact[]): Finding {
  const refused = folders.find((folder) => folder.kind === "refused");
  if (refused !== undefined) {
    return warn(
      "storage",
      `${refused.folder} cannot be written to (${refused.why})`,
      "the worker is a newcomer at each start, measures and fetches again: make the folder its user's own, or let XDG_CACHE_HOME name another",
    );
  }
  const writable = folders.filter((folder) => folder.kind === "writable");
  const least = writable.reduce((a, b) => (b.freeBytes < a.freeBytes ? b : a));
  const free = `${(least.freeBytes / 2 ** 30).toFixed(1)} GiB`;
  if (least.freeBytes < LEAST_FREE_BYTES) {
    return warn(
      "storage",
      `${least.folder} has room for ${free} only`,
      "make room: what does not fit is fetched again",
    );
  }
  return ok("storage", `${writable.map(({ folder }) => folder).join(" and ")}: writable, ${free} free`);
}

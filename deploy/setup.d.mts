// The types of setup.mjs, kept apart because the script runs before there is a compiler.

/** What the decision may look at: nothing else of the machine. */
export interface Probe {
  readonly platform: string;
  readonly arch: string;
  /** 0 is root; undefined where the system has no user ids. */
  readonly uid: number | undefined;
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  exists(path: string): boolean;
  /** Bytes, or undefined where there is no such file. */
  size(path: string): number | undefined;
  list(directory: string): readonly string[];
  /** The beginning of a file as text, or "" where there is none. */
  read(path: string): string;
  /** The path of a program on PATH. */
  which(name: string): string | undefined;
  /** The version that a program tells of itself, three numbers; "" where it tells none. */
  version(path: string): string;
  /** The folder of an installed npm package, seen from the package root. */
  packageFolder(name: string): string | undefined;
}

/** A program that only tests start. */
export type TestToolName =
  | "caddy"
  | "buildah"
  | "docker-compose"
  | "systemd-analyze"
  | "certutil"
  | "promtool"
  | "ip"
  | "check-model"
  | "nats-server";

export type ItemName = "chromium" | "vulkan loader" | "vulkan driver" | "fashion-mnist" | "deno" | "cpu" | TestToolName;

export interface TestTool {
  readonly name: TestToolName;
  readonly purpose: string;
  /** Its package would begin to serve once it is installed: it is unpacked beside the user's cache and no more. */
  readonly unpacked?: true;
  /** One that is older is as good as none. */
  readonly least?: string;
  /** Of Debian, whose package is new enough. */
  readonly suite?: string;
  /** Where in the package the program is; `usr/bin` unless given. */
  readonly folder?: string;
}

export interface Item {
  readonly name: ItemName;
  readonly present: boolean;
  /** What it is for. */
  readonly purpose: string;
  /** Where it was found, or what is missing. */
  readonly detail: string;
}

export interface Plan {
  readonly items: readonly Item[];
  /** Debian packages that would bring what is missing, in the order of the items. */
  readonly packages: readonly string[];
  /** Debian packages that are unpacked into `toolsFolder` and not installed, which needs no root. */
  readonly unpacked: readonly string[];
  /** The same for packages of a suite of Debian that need not be this machine's. */
  readonly unpackedOf: readonly { readonly suite: string; readonly package: string }[];
  /** True where this process may install them itself: root, apt-get, Debian or Ubuntu. */
  readonly canInstall: boolean;
  /** What a person types to get the same, one command a line. */
  readonly commands: readonly string[];
  /** Said beside the commands: what no package manager brings. */
  readonly hints: readonly string[];
}

export interface DataFile {
  readonly name: string;
  /** Of the .gz file. */
  readonly bytes: number;
  /** Of the decompressed content: a mirror may have compressed it anew. */
  readonly sha256: string;
}

export const fashionFiles: readonly DataFile[];
/** Where Fashion-MNIST is looked for, in this order. */
export function fashionFolders(probe: Pick<Probe, "env" | "home">): readonly string[];
/** Where packages are unpacked, with their own folders below: `usr/bin`. */
export function toolsFolder(probe: Pick<Probe, "home">): string;
/** What is missing on this machine, and what would bring it; for `tests`, what `npm test` starts too. Pure. */
export function plan(probe: Probe, wanted?: { readonly tests?: boolean }): Plan;
/** This machine. */
export function machineProbe(): Probe;
/** Fetches the four files, checks each against its hash, and moves the folder into place only when all are right. */
export function downloadFashion(folder: string, baseUrl?: string): Promise<void>;

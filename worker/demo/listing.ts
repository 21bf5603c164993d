// Which networks a demo has: what stands in demo/networks.json beside the page, and where.

/** Below the page's own folder. */
export const LISTING_PATH = "demo/networks.json";

/** Names a network's file, below the page's own folder. */
export function networkPath(name: string): string {
  return `demo/${name}.safetensors`;
}

export interface Listing {
  /** What the run calls itself. */
  readonly title: string;
  /** Names of networks, the one that the run is for first. */
  readonly networks: readonly string[];
}

/** As a network's name is made. */
const NAME = /^[a-z][\w-]{0,63}$/i;

/** Undefined for what is no listing. */
export function readListing(value: unknown): Listing | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { title, networks } = value as { readonly title?: unknown; readonly networks?: unknown };
  if (typeof title !== "string" || !Array.isArray(networks)) return undefined;
  return networks.every((name) => typeof name === "string" && NAME.test(name)) ? { title, networks } : undefined;
}

// How volunteers reach a coordinator that they do not reach straight: the proxies in between, the address that they
// open, and other origins whose pages may join.

import { OWN_PROXIES, TrustedProxies } from "./client-address.ts";
import { webAddress } from "./origins.ts";

export interface Reach {
  /** Whose word is taken for who is behind them. */
  readonly proxies: TrustedProxies;
  /** What volunteers open, with the path that a proxy takes off, where that is not the coordinator's own address. */
  readonly publicUrl?: URL;
  /** Origins whose pages may open the WebSocket beside its own. */
  readonly allowedOrigins: readonly URL[];
}

/** Nothing in between. */
export const straight: Reach = { proxies: new TrustedProxies([]), allowedOrigins: [] };

/** As options say it. */
export interface ReachRequest {
  /** Addresses and networks with commas between; true for proxies on this machine. */
  readonly behindProxy?: string | true;
  readonly publicUrl?: string;
  readonly allowOrigin?: readonly string[];
}

/** @throws CONFIG_INVALID naming the option, its value and what is allowed */
export function readReach({ behindProxy, publicUrl, allowOrigin = [] }: ReachRequest): Reach {
  const proxies = behindProxy === true ? OWN_PROXIES : (behindProxy?.split(",") ?? []);
  return {
    proxies: new TrustedProxies(proxies),
    allowedOrigins: allowOrigin.map((text) => webAddress(text, "--allow-origin")),
    ...(publicUrl === undefined ? {} : { publicUrl: folderOf(webAddress(publicUrl, "--public-url")) }),
  };
}

/** The page's files lie below its path, whether the slash was written or not. */
function folderOf({ origin, pathname }: URL): URL {
  return new URL(pathname.endsWith("/") ? pathname : `${pathname}/`, origin);
}

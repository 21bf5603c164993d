// Whose pages may open the WebSocket: those of the addresses under which this coordinator is known. A name in the
// request's Host counts for nothing: one that an attacker points at this machine says the same as its page's Origin
// (DNS rebinding). A bare address cannot be pointed elsewhere: a page that came from it came from here.

import { isIP } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { BitswarmError } from "../../shared/base/errors.ts";

export interface OriginOptions {
  /** As it listens: an address or a name of this machine. */
  readonly host: string;
  readonly port: number;
  /** What it speaks there; plain http unless given. */
  readonly secure?: boolean;
  /** What volunteers open, where that is not the host's. */
  readonly publicUrl?: URL | undefined;
  /** Others that may. */
  readonly allowed: readonly URL[];
}

const wildcards = ["0.0.0.0", "::", ""];
const loopback = /^(localhost|127(\.\d+){3}|::1)$/;
/** Characters of a stranger's origin that are shown. */
const SHOWN_ORIGIN = 200;

export function isWildcard(host: string): boolean {
  return wildcards.includes(host);
}

/** Whether a host as people write it is this machine's own word for itself. */
export function isLoopback(host: string): boolean {
  return loopback.test(host);
}

function originOf(host: string, port: number, scheme = "http"): string {
  return new URL(`${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`).origin;
}

/** @throws CONFIG_INVALID naming the option for what is no http(s) address */
export function webAddress(text: string, option: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.hostname !== "") return url;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `${option} takes an address like https://example.org/bitswarm/; got ${JSON.stringify(text)}`,
  );
}

/** A stranger's text as it may stand on a terminal. */
export function shownOrigin(origin: string): string {
  return origin.slice(0, SHOWN_ORIGIN).replace(/[^\x21-\x7e]/g, "?");
}

/**
 * Whether an origin is that of a request's host, which is an address or this machine's own name for itself.
 * @param secure it speaks TLS to others: a page that came from one of its addresses without was another's
 */
function isBareHost(origin: string, host: string, secure: boolean): boolean {
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (secure && url.protocol !== "https:" && !loopback.test(name)) return false;
  return url.host === host && /^https?:$/.test(url.protocol) && (isIP(name) !== 0 || name === "localhost");
}

export class Origins {
  readonly #options: OriginOptions;
  readonly #scheme: "http" | "https";
  readonly #known: ReadonlySet<string>;

  constructor(options: OriginOptions) {
    this.#options = options;
    const { host, port, publicUrl, allowed, secure = false } = options;
    this.#scheme = secure ? "https" : "http";
    const own = isWildcard(host) || loopback.test(host) ? ["localhost", "127.0.0.1", "::1"] : [];
    this.#known = new Set([
      ...(publicUrl ? [publicUrl.origin] : []),
      ...allowed.map(({ origin }) => origin),
      ...(isWildcard(host) ? [] : [originOf(host, port, this.#scheme)]),
      ...own.map((name) => originOf(name, port, this.#scheme)),
    ]);
  }

  /** Programs send no origin, and show the token alone. @param host of the request */
  allows(origin: string | undefined, host = ""): boolean {
    if (origin === undefined || this.#known.has(origin)) return true;
    if (isBareHost(origin, host, this.#scheme === "https")) return true;
    return isWildcard(this.#options.host) && this.#interfaces().includes(origin);
  }

  /** What whoever runs the coordinator has to do for the pages of an origin. */
  advice(origin: string): string {
    const { host, port } = this.#options;
    const interfaces = isWildcard(host) ? `, and the addresses of its machine at port ${port}` : "";
    return (
      `a page of the origin ${shownOrigin(origin)} (its header Origin) may not join this run; allowed are ` +
      `${[...this.#known].join(", ")}${interfaces}. Behind a proxy or a tunnel start the coordinator with --public-url and ` +
      "the address that volunteers open; --allow-origin allows others"
    );
  }

  /** They may change while the run goes on. */
  #interfaces(): string[] {
    const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    const names = [...addresses.map(({ address }) => address.split("%")[0]), hostname(), `${hostname()}.local`];
    return names.map((name) => originOf(name.toLowerCase(), this.#options.port, this.#scheme));
  }
}

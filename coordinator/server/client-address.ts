// Whose request it is: the other end of the connection or, where that is a proxy that the operator trusts, who the
// proxy says it had at the other end of its own.

import { BlockList, isIP } from "node:net";
import { BitswarmError } from "../../shared/base/errors.ts";

/** A proxy on this machine: what `--behind-proxy` means without addresses. */
export const OWN_PROXIES = ["127.0.0.0/8", "::1"] as const;

/** An address as people and proxies write it: without brackets, port and zone; IPv4 in IPv6 as IPv4. */
function plainAddress(text: string): string | undefined {
  const [, bracketed, ipv4] = /^(?:\[([^\]]*)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/.exec(text) ?? [];
  const [address] = (bracketed ?? ipv4 ?? text).split("%", 1);
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  const plain = mapped ?? address;
  return isIP(plain) === 0 ? undefined : plain;
}

/** `X-Forwarded-For`, as Node gives it: several headers are one, with commas between. RFC 7239's is not read. */
export type ForwardedFor = string | readonly string[] | undefined;

/** The proxies whose word is taken for who is behind them. */
export class TrustedProxies {
  readonly #list = new BlockList();
  /** As they were given. */
  readonly addresses: readonly string[];

  /** @param addresses and networks, `10.0.0.0/8`. @throws CONFIG_INVALID */
  constructor(addresses: readonly string[]) {
    for (const text of addresses) this.#add(text);
    this.addresses = addresses;
  }

  /** Whether there is any. */
  get any(): boolean {
    return this.addresses.length > 0;
  }

  has(address: string): boolean {
    const plain = plainAddress(address);
    return plain !== undefined && this.#list.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
  }

  /**
   * The right-most hop that is no trusted proxy: each proxy appends whom it had at its other end, and what stands left
   * of that anybody may have written. Where a hop is no address, its proxy is whom the request is counted for.
   * @param peer the connection's other end
   */
  clientOf(peer: string, forwardedFor: ForwardedFor): string {
    let client = peer;
    const hops = String(forwardedFor ?? "").split(",");
    while (this.has(client)) {
      const hop = plainAddress((hops.pop() ?? "").trim());
      if (hop === undefined) return client;
      client = hop;
    }
    return client;
  }

  #add(text: string): void {
    const [, address, bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text.trim()) ?? [];
    const plain = plainAddress(address ?? "");
    const family = plain !== undefined && isIP(plain) === 6 ? "ipv6" : "ipv4";
    const most = family === "ipv6" ? 128 : 32;
    if (plain === undefined || Number(bits ?? 0) > most) {
      throw new BitswarmError(
        "CONFIG_INVALID",
        `--behind-proxy takes addresses and networks of proxies with commas between, as 127.0.0.1,10.0.0.0/8, or nothing, which is for proxies on this machine: then it must come last; got ${JSON.stringify(text)}`,
      );
    }
    this.#list.addSubnet(plain, Number(bits ?? most), family);
  }
}

// Which address a room can reach.

import { describe, expect, test } from "vitest";
import { addressNow, chooseLanAddress, type Interfaces } from "../../../coordinator/tls/lan-address.ts";

const at = (address: string, internal = false) => ({
  address,
  internal,
  netmask: "",
  mac: "",
  cidr: null,
  ...(address.includes(":") ? { family: "IPv6" as const, scopeid: 0 } : { family: "IPv4" as const }),
});
const laptop: Interfaces = {
  lo: [at("127.0.0.1", true), at("::1", true)],
  docker0: [at("172.17.0.1")],
  tun0: [at("10.8.0.2")],
  eth0: [at("192.168.1.20"), at("fe80::1")],
  wlan0: [at("10.20.3.4"), at("2001:db8::20")],
};

describe("without a name --lan takes", () => {
  test("the address that other networks are reached by", () => {
    const { address, on, reason, others } = chooseLanAddress(laptop, true, "10.20.3.4");
    expect([address, on, reason]).toEqual(["10.20.3.4", "wlan0", "this machine reaches other networks by it"]);
    expect(others.map((other) => other.address)).toEqual(["192.168.1.20", "2001:db8::20", "172.17.0.1", "10.8.0.2"]);
  });

  test("no tunnel, though other networks are reached by it", () => {
    const { address, reason } = chooseLanAddress(laptop, true, "10.8.0.2");
    expect([address, reason]).toEqual(["192.168.1.20", "the likeliest of several"]);
  });

  test.each([
    ["a private address before a public one", { a: [at("203.0.113.4")], b: [at("172.20.1.1")] }, "172.20.1.1"],
    ["a public one where there is no other", { a: [at("203.0.113.4"), at("2001:db8::4")] }, "203.0.113.4"],
    ["IPv6 where there is nothing else", { a: [at("fe80::4"), at("fd00::4")] }, "fd00::4"],
    ["one that nobody gave out last", { a: [at("169.254.9.9")], b: [at("203.0.113.4")] }, "203.0.113.4"],
    ["Windows' own names", { "vEthernet (WSL)": [at("172.28.0.1")], "Wi-Fi": [at("192.168.0.8")] }, "192.168.0.8"],
  ])("%s", (_, interfaces, address) => {
    const lo = { lo: [at("127.0.0.1", true)] };
    expect(chooseLanAddress({ ...lo, ...interfaces }, true).address).toBe(address);
  });

  test("the only one there is, and says so", () => {
    const { reason, others } = chooseLanAddress({ en0: [at("192.168.1.9")] }, true);
    expect([reason, others]).toEqual(["the only one of a network with others in it", []]);
  });

  test.each([
    [{ lo: [at("127.0.0.1", true)] }, "it has none"],
    [{ docker0: [at("172.17.0.1")] }, "it has 172.17.0.1 (docker0)"],
  ])("nothing where nobody else is, and says what there is", (interfaces, has) => {
    expect(() => chooseLanAddress(interfaces, true)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(has) }),
    );
  });
});

describe("by name --lan takes", () => {
  test.each([
    ["192.168.1.20", "192.168.1.20"],
    ["wlan0", "10.20.3.4"],
    ["docker0", "172.17.0.1"],
    ["127.0.0.1", "127.0.0.1"],
    ["2001:db8::20", "2001:db8::20"],
  ])("%s", (wanted, address) => {
    expect(chooseLanAddress(laptop, wanted, "192.168.1.20")).toMatchObject({ address, reason: "it was named" });
  });

  test.each(["192.168.1.21", "wlan1", "fe80::1", "https://10.20.3.4/"])("nothing else: %s", (wanted) => {
    expect(() => chooseLanAddress(laptop, wanted)).toThrow(/it has 192\.168\.1\.20 \(eth0\), .*127\.0\.0\.1 \(lo\)/);
  });

  test("no file of a run, and says where that belongs", () => {
    expect(() => chooseLanAddress(laptop, "run.yaml")).toThrow(/A run's file comes before --lan/);
  });
});

describe("as addresses change a coordinator stays", () => {
  const elsewhere: Interfaces = { wlan0: [at("192.168.7.7")], eth0: [at("203.0.113.4")] };

  test("where it listens, whatever comes up beside it", () => {
    expect(addressNow(laptop, "192.168.1.20", true, "10.20.3.4")).toBe("192.168.1.20");
  });

  test.each([
    ["with the likeliest, where its own is gone", elsewhere, true as const, "192.168.7.7"],
    ["with its interface, whatever address that has", elsewhere, "wlan0", "192.168.7.7"],
    ["with the address that was named, which may come back", elsewhere, "10.20.3.4", "10.20.3.4"],
    ["where there is no network just now", { lo: [at("127.0.0.1", true)] }, true as const, "10.20.3.4"],
    ["where another certificate would be needed", { eth0: [at("203.0.113.4")] }, true as const, "10.20.3.4"],
  ])("%s", (_, interfaces, wanted, address) => {
    expect(addressNow(interfaces, "10.20.3.4", wanted)).toBe(address);
  });
});

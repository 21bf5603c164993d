// What the options of a run over NATS come to.

import { expect, test } from "vitest";
import { bulkOf, natsOptionsOf } from "../../../coordinator/program/cluster-options.ts";

const door = { bulkListen: "0.0.0.0:8090", bulkUrl: "https://c-0:8090", bulkCert: "c-0.pem", bulkKey: "c-0.key" };

test("U57 options of a door are those of the engine, all of them and no other", () => {
  const engine = natsOptionsOf({ engine: "nats://n", id: "c-0", ...door }, "run", false);
  expect(engine?.bulk).toEqual({ listen: "0.0.0.0:8090", url: "https://c-0:8090", cert: "c-0.pem", key: "c-0.key" });
  expect(natsOptionsOf({ engine: "nats://n" }, "run", false)).not.toHaveProperty("bulk");
});

test("U57 a door without an address, and one of a run in one process, are CONFIG_INVALID", () => {
  const { bulkListen, ...rest } = door;
  expect(() => bulkOf(rest)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  expect(() => natsOptionsOf({ bulkListen }, "run", false)).toThrow(/--bulk-listen is for a run over NATS/);
});

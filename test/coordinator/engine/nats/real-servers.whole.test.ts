// The same engine on three real nats-servers as deploy/cluster has them, with TLS and a key a node. The servers are
// shared; each test has a run of its own on them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { NatsEngine } from "../../../../coordinator/engine/nats/nats-engine.ts";
import { clusterContract } from "../../../engine/cluster-contract.ts";
import { engineContract } from "../../../engine/contract.ts";
import { type NatsCluster, startNatsCluster } from "../../../fixtures/nats-cluster.ts";
import { natsHub } from "../../../fixtures/nats-hub.ts";
import { notOnLinux } from "../../../fixtures/test-tool.ts";

describe.skipIf(notOnLinux)("three nats-servers", () => {
  const ends: (() => Promise<void>)[] = [];
  let cluster: NatsCluster;
  let runs = 0;
  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), "bitswarm-nats-"));
    const gateways = Array.from({ length: 8 }, (_, i) => `g-${i}`);
    cluster = await startNatsCluster({
      folder,
      coordinators: ["c-0", "c-1", "c-2"],
      gateways,
      atEnd: (end) => void ends.push(end),
    });
    ends.push(async () => rmSync(folder, { recursive: true, force: true }));
  });
  afterAll(async () => {
    for (const end of ends) await end();
  });

  engineContract("on nats-servers", async (run) => {
    // Its folder's: what goes on in the same folder goes on under the same name.
    const named = basename(dirname(run.keeping?.log.folder ?? "")).replaceAll(/[^\w-]/g, "-");
    return NatsEngine.open({ ports: await natsHub(cluster, named).ports("c-0"), id: "c-0" }, run);
  });

  clusterContract("nats-servers", () => natsHub(cluster, `r${++runs}`));
});

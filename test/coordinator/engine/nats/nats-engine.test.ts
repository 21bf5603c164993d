// The engine of several coordinators over a bus in this process: the contract of all engines, then that of a cluster.

import { NatsEngine } from "../../../../coordinator/engine/nats/nats-engine.ts";
import { clusterContract } from "../../../engine/cluster-contract.ts";
import { engineContract } from "../../../engine/contract.ts";
import { memoryHub } from "../../../fixtures/cluster-hub.ts";

engineContract("nats", async (run) => NatsEngine.open({ ports: await memoryHub().ports("c-0"), id: "c-0" }, run));

clusterContract("a bus in memory", memoryHub);

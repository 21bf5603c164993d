// The type of are-cluster.mjs, which runs without a compiler.

import type { NodeConnectionOptions } from "@nats-io/transport-node";

/** Whether a stream can have a copy at each of three. */
export function areCluster(options: NodeConnectionOptions): Promise<boolean>;

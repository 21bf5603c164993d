// The entry of the table for runs that several coordinators drive over NATS. What it needs is loaded when a run asks
// for it: a run in one process reads none of it.

import { z } from "zod";
import { defineEngine } from "../engine.ts";
import { requireSums } from "./requires.ts";

const file = z.string().min(1).max(4096);

export const natsOptionsSchema = z.strictObject({
  kind: z.literal("nats"),
  /** nats://host:port, and others with commas between. */
  servers: z.string().min(1).max(4096),
  /** The run's name on the servers. */
  run: z.string().min(1).max(200),
  /** Of this coordinator, on the servers. */
  id: z.string().min(1).max(32),
  /** Files: credentials, the seed of an nkey, and whoever signs the servers' certificates. */
  creds: file.optional(),
  nkey: file.optional(),
  tlsCa: file.optional(),
  /** Where long bytes are to be had of this coordinator over HTTP; its certificate and key are files. */
  bulk: z
    .strictObject({
      listen: z.string().min(1).max(300),
      url: z.string().min(1).max(2048).optional(),
      cert: file.optional(),
      key: file.optional(),
    })
    .optional(),
  /** A run that nobody has begun is not begun here. */
  neverFirst: z.boolean().default(false),
});
export type NatsOptions = z.output<typeof natsOptionsSchema>;

export const natsEngine = defineEngine({
  kind: "nats",
  schema: natsOptionsSchema,
  require: requireSums,
  open: async ({ kind: _kind, neverFirst, ...options }, run) => {
    const { connectNats } = await import("../../cluster/nats/connect.ts");
    const { NatsEngine } = await import("./nats-engine.ts");
    const onNotice = (message: string) => run.onEvent({ type: "notice", message });
    const cluster = await connectNats({ ...options, clock: run.clock, onNotice });
    try {
      const store = await cluster.store();
      const { bus, bulk, close } = cluster;
      return await NatsEngine.open({ ports: { bus, bulk, store, close }, id: options.id, neverFirst }, run);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  },
});

// The process that sends shards. It runs until the coordinator ends, however that does.

import type { Socket } from "node:net";
import { ShardDesk } from "./shard-desk.ts";
import type { ToShardProcess } from "./shard-messages.ts";

// A Ctrl-C is meant for the coordinator, which finishes its step first.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
process.on("disconnect", () => process.exit(0));
// A coordinator that was killed while this program was loaded has let go of it before anybody listened.
if (!process.connected) process.exit(0);

let desk: ShardDesk | undefined;
process.on("message", (message: ToShardProcess, socket: Socket | undefined) => {
  if (message.type !== "settings") return desk?.take(message, socket);
  desk = new ShardDesk(message, (said, given) => {
    // Whether it arrives is seen by whether the channel ends.
    if (process.connected) process.send?.(said, given, undefined, () => undefined);
  });
});

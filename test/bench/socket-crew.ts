// A child of `bench sockets`: many scripted workers in one process, so that what they cost is not the coordinator's.

import { newIdentity } from "../fixtures/scripted-identity.ts";
import { ScriptedWorker } from "../fixtures/scripted-worker.ts";

/** Sockets that open at once: a listener's backlog is short. */
const AT_ONCE = 50;

const [url = "", count = "0"] = process.argv.slice(2);
const crew = Array.from({ length: Number(count) }, () => url);
// The parent's end is this process's too.
process.on("disconnect", () => process.exit(0));

const working: Promise<unknown>[] = [];
while (crew.length > 0) {
  const joined = await Promise.all(
    crew.splice(0, AT_ONCE).map((link) => new ScriptedWorker(link, { identity: newIdentity() }).join()),
  );
  working.push(...joined.map((worker) => worker.work()));
  process.send?.({ joined: working.length });
}
await Promise.all(working);
process.exit(0);

// A child of `bench allreduce`: scripted workers in a process of their own. They answer with the numbers of their first
// lease of a kind, so that what computing costs keeps nobody waiting; what they send is checked and summed like any
// other.

import { honestContribution, type ScriptedContribution } from "../fixtures/scripted-contribution.ts";
import { newIdentity } from "../fixtures/scripted-identity.ts";
import { ScriptedWorker } from "../fixtures/scripted-worker.ts";

const [url = "", count = "0"] = process.argv.slice(2);
// The parent's end is this process's too.
process.on("disconnect", () => process.exit(0));

/** By what is computed: network and phase. */
const first = new Map<string, ScriptedContribution>();

async function work(worker: ScriptedWorker): Promise<void> {
  for (;;) {
    worker.send({ type: "ready" });
    for (let message = await worker.take(); ; message = await worker.take()) {
      if (message === "closed" || message.type === "ended") return;
      if (message.type === "accepted" || message.type === "cancel") break;
      if (message.type !== "lease") throw new Error(`expected a lease, got ${JSON.stringify(message)}`);
      if (message.split === "test") {
        worker.sendContribution(honestContribution(worker.welcome, message));
        continue;
      }
      const { phase, lease, round, parametersHash } = message;
      const known = first.get(phase) ?? honestContribution(worker.welcome, message);
      first.set(phase, known);
      worker.sendContribution({ ...known, header: { ...known.header, lease, round, parametersHash } });
    }
  }
}

const joined = await Promise.all(
  Array.from({ length: Number(count) }, () => new ScriptedWorker(url, { identity: newIdentity() }).join()),
);
await Promise.all(joined.map(work));
process.exit(0);

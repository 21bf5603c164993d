// A process of scripted workers that come back after whatever happens to them, so that it can be stopped and killed
// from outside: `node crew.js URL[,URL…] COUNT COMPUTE_MS [strangers]`, so many at each, of one account or, as
// strangers, of one each. SIGUSR2: they need no time any more.

import { newIdentity, sharedIdentity } from "../fixtures/scripted-identity.ts";
import { ScriptedWorker } from "../fixtures/scripted-worker.ts";

/** Before a worker that lost its coordinator tries again. */
const RETRY_MS = 100;

const [urls, count, computeMs, strangers] = process.argv.slice(2);
let answerAfterMs = Number(computeMs);
process.on("SIGUSR2", () => {
  answerAfterMs = 0;
});

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** One worker, joined again and again until the run is over. */
async function serve(url: string): Promise<void> {
  const identity = strangers ? newIdentity() : sharedIdentity;
  for (;;) {
    const worker = new ScriptedWorker(url, { decodes: true, identity });
    worker.beforeAnswer = () => sleep(answerAfterMs);
    try {
      if ((await (await worker.join()).work()) === "ended") return;
    } catch {
      // Refused, cut or turned away: the next attempt is all that there is to do.
    } finally {
      worker.close();
    }
    await sleep(RETRY_MS);
  }
}

await Promise.all(urls.split(",").flatMap((url) => Array.from({ length: Number(count) }, () => serve(url))));

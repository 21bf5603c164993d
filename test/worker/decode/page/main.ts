// A microbatch by the browser's decode thread, which a Web Worker starts as the session's does.

import "../../../../worker/platform/browser/no-eval.ts";

async function post(message: unknown): Promise<void> {
  await fetch("/messages", { method: "POST", body: JSON.stringify(message) });
}

const worker = new Worker(new URL("./session.ts", import.meta.url), { type: "module" });
worker.onerror = (event) => void post({ failed: event.message || "the session's worker did not load" });
worker.onmessage = async ({ data }) => {
  await post(data);
  if (!("failed" in data)) await post({ ended: true });
};

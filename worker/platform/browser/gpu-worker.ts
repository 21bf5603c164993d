// The session and the GPU in a Web Worker of their own: the page stays smooth, and a hidden tab's slow timers do not
// reach it.

import "./no-eval.ts";

import { findGpu, requestDevice } from "../../device.ts";
import { openIdentity } from "../../session/identity.ts";
import { type RunningSession, runSession } from "../../session/session.ts";
import type { SessionEvent } from "../../session/session-event.ts";
import { gpuDevice } from "../../trainer/gpu-device.ts";
import { tuningOptions, untuned } from "../../tuning/tuning-options.ts";
import { TuningMemory } from "../../tuning/tuning-store.ts";
import { runtimePorts } from "../runtime-ports.ts";
import { indexedDbKeyStore } from "./key-store.ts";
import { type Command, commandSchema } from "./messages.ts";
import { indexedDbTuningStore } from "./tuning-store.ts";

/** Shards outlive a reload here; a new layout of what is stored gets a new name. */
const CACHE_NAME = "bitswarm-content-1";

/** What of a dedicated worker's global scope is used; the DOM library describes a window's. */
interface WorkerScope {
  postMessage(event: SessionEvent): void;
  addEventListener(type: "message", listener: (event: MessageEvent<unknown>) => void): void;
}

const scope = globalThis as unknown as WorkerScope;
let session: RunningSession | undefined;

/** Cache storage, unless the browser withholds it (private windows, no secure context). */
async function openCache(): Promise<Cache | undefined> {
  const { caches } = globalThis as { readonly caches?: CacheStorage };
  return caches?.open(CACHE_NAME).catch(() => undefined);
}

async function obey(command: Command): Promise<void> {
  switch (command.type) {
    case "start": {
      const memory = new TuningMemory(indexedDbTuningStore(), (message) =>
        scope.postMessage({ type: "tuning", stage: "unkept", message }),
      );
      session = runSession({
        url: command.url,
        name: command.name,
        runtime: "browser",
        ports: runtimePorts(),
        openIdentity: () => openIdentity(indexedDbKeyStore(), (message) => console.info(message)),
        openDevice: async () => {
          const open = await requestDevice(findGpu(globalThis));
          return gpuDevice(open, (circumstances) =>
            command.tune
              ? tuningOptions(open, navigator.userAgent, { ...circumstances, memory })
              : untuned(open, circumstances),
          );
        },
        onEvent: (event) => scope.postMessage(event),
        cache: await openCache(),
      });
      return;
    }
    case "pause":
      return session?.pause();
    case "resume":
      return session?.resume();
    case "leave":
      return session?.leave();
    case "retry":
      return session?.retry();
    case "unplugged":
      return session?.unplugged();
    default:
      command satisfies never;
  }
}

// One after another: a leave must not overtake the start that is still opening its cache.
let obeying: Promise<void> = Promise.resolve();
scope.addEventListener("message", ({ data }) => {
  const command = commandSchema.parse(data);
  obeying = obeying.then(() => obey(command));
});

// The session and the GPU in a Web Worker of their own: the page stays smooth, and a hidden tab's slow timers do not
// reach it.

import "./no-eval.ts";

import { decodeBeside, threadsFor } from "../../../shared/samples/threaded-decoding.ts";
import type { KeptContent } from "../../content/kept-content.ts";
import { findGpu, requestDevice } from "../../device.ts";
import { openIdentity } from "../../session/identity.ts";
import { type RunningSession, runSession } from "../../session/session.ts";
import type { SessionEvent } from "../../session/session-event.ts";
import { gpuDevice } from "../../trainer/gpu-device.ts";
import { tuningOptions, untuned } from "../../tuning/tuning-options.ts";
import { TuningMemory } from "../../tuning/tuning-store.ts";
import { countedPorts, type Traffic } from "../counted-ports.ts";
import { webDecodeThread } from "../decode-thread.ts";
import { runtimePorts } from "../runtime-ports.ts";
import { trackingPorts } from "../tracking.ts";
import { openKeptContent } from "./content-store.ts";
import { fetchJpegModule } from "./jpeg-module.ts";
import { indexedDbKeyStore } from "./key-store.ts";
import { type Command, commandSchema } from "./messages.ts";
import { indexedDbTuningStore } from "./tuning-store.ts";

/** What of a dedicated worker's global scope is used; the DOM library describes a window's. */
interface WorkerScope {
  postMessage(event: SessionEvent): void;
  addEventListener(type: "message", listener: (event: MessageEvent<unknown>) => void): void;
}

const scope = globalThis as unknown as WorkerScope;
let session: RunningSession | undefined;
let kept: KeptContent | undefined;
/** Of what is kept the page is told at most so often. */
const TOLD_EVERY_MS = 500;
let telling = false;

function tellKept(): void {
  telling = false;
  if (kept) scope.postMessage({ type: "kept", bytes: kept.bytes });
}

function tellKeptSoon(): void {
  if (telling) return;
  telling = true;
  setTimeout(tellKept, TOLD_EVERY_MS);
}

let traffic: Traffic | undefined;

function tellTrafficSoon(newest: Traffic): void {
  if (!traffic) {
    setTimeout(() => {
      if (traffic) scope.postMessage({ type: "traffic", ...traffic });
      traffic = undefined;
    }, TOLD_EVERY_MS);
  }
  traffic = newest;
}

/** The bundler finds the thread's script by this very expression. */
function startDecodeWorker(): Worker {
  return new Worker(new URL("./decode-worker.ts", import.meta.url), { type: "module", name: "bitswarm decoder" });
}

async function obey(command: Command): Promise<void> {
  switch (command.type) {
    case "start": {
      kept = await openKeptContent(command.url, command.cacheMiB);
      tellKept();
      kept?.listen(tellKeptSoon);
      const memory = new TuningMemory(indexedDbTuningStore(), (message) =>
        scope.postMessage({ type: "tuning", stage: "unkept", message }),
      );
      session = runSession({
        url: command.url,
        name: command.name,
        runtime: "browser",
        openDecoding: decodeBeside(webDecodeThread(startDecodeWorker), threadsFor(navigator.hardwareConcurrency)),
        ports: countedPorts(runtimePorts(), tellTrafficSoon),
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
        kept,
        tracking: trackingPorts(fetchJpegModule),
        share: command.share,
      });
      return;
    }
    case "pause":
      return session?.pause();
    case "resume":
      return session?.resume();
    case "finish":
      return session?.finish();
    case "hold":
      return session?.hold(command.reason);
    case "throttle":
      return session?.throttle(command.share);
    case "list":
      return session?.list(command.nickname);
    case "leave":
      return session?.leave();
    case "retry":
      return session?.retry();
    case "unplugged":
      return session?.unplugged();
    case "forget":
      // Pause and Leave do not wait for it.
      kept?.clear().then(tellKept);
      return;
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

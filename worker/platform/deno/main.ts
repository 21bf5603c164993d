// The worker as a Deno process: joins the run of its argument, or of the link on standard input, and works until the
// run is over or it is told to stop.
//
// Standard output carries reports for a launcher, one JSON object a line: {"event":"joined","worker"},
// {"event":"given","samples","samplesPerSecond"}, {"event":"ended"}, {"event":"failed","code","message"}. Standard
// error is for people. Exit code 0 after the end or a wished leave, else 1.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { decodeBeside, threadsFor } from "../../../shared/samples/threaded-decoding.ts";
import { MAX_LINK } from "../../../shared/wire/text-limit.ts";
import { KeptContent } from "../../content/kept-content.ts";
import { findGpu, requestDevice } from "../../device.ts";
import { eventLines } from "../../session/event-lines.ts";
import { openIdentity } from "../../session/identity.ts";
import { type RunningSession, runSession } from "../../session/session.ts";
import type { SessionEvent } from "../../session/session-event.ts";
import { gpuDevice } from "../../trainer/gpu-device.ts";
import { tuningOptions, untuned } from "../../tuning/tuning-options.ts";
import { TuningMemory } from "../../tuning/tuning-store.ts";
import { webDecodeThread } from "../decode-thread.ts";
import { runtimePorts } from "../runtime-ports.ts";
import { trackingPorts } from "../tracking.ts";
import { readDenoArguments } from "./arguments.ts";
import { fileContentStore } from "./content-store.ts";
import { readJpegModule } from "./jpeg-module.ts";
import { fileKeyStore } from "./key-store.ts";
import { fileTuningStore } from "./tuning-store.ts";

/** How long a session may take to say goodbye before the process ends without it. */
const FAREWELL_MS = 2000;
/** The shell's code for a program that Ctrl-C ended. */
const INTERRUPTED = 130;

const report = (line: Record<string, string | number>) => console.log(JSON.stringify(line));

/** Leaves on the first signal, ends on the second; SIGUSR1 is to answer what it holds before it leaves. */
function leaveOnSignals(session: RunningSession): void {
  let asked = false;
  const leave = () => {
    if (asked) Deno.exit(INTERRUPTED);
    asked = true;
    session.leave();
    // A driver that hangs in a long dispatch must not keep the process.
    setTimeout(() => Deno.exit(0), FAREWELL_MS);
  };
  Deno.addSignalListener("SIGINT", leave);
  // Windows has no other to listen to.
  if (Deno.build.os === "windows") return;
  Deno.addSignalListener("SIGTERM", leave);
  Deno.addSignalListener("SIGUSR1", () => session.finish());
}

function openKept(folder: string, host: string, cacheMiB: number | undefined): Promise<KeptContent | undefined> {
  const cap = cacheMiB === undefined ? undefined : cacheMiB * 2 ** 20;
  return KeptContent.open(fileContentStore(folder, host, cap));
}

type Input = ReadableStreamDefaultReader<Uint8Array>;

/** The first line of standard input. @throws CONFIG_INVALID where it ends before, or does not end for too long */
async function readLink(input: Input): Promise<string> {
  const decoder = new TextDecoder();
  for (let text = ""; text.length <= MAX_LINK; ) {
    const { done, value } = await input.read();
    text += decoder.decode(value, { stream: !done });
    const end = text.indexOf("\n");
    if (end >= 0 || done) return text.slice(0, end >= 0 ? end : undefined).trim();
  }
  throw new BitswarmError("CONFIG_INVALID", `the link on standard input is longer than ${MAX_LINK} characters`);
}

/** Ends this process when its parent is gone, however it went: the pipe on standard input ends with it. */
async function leaveWithParent(session: RunningSession, input: Input): Promise<void> {
  while (!(await input.read()).done);
  session.leave();
  setTimeout(() => Deno.exit(0), FAREWELL_MS);
}

/** Built where this file is, else as it was written, which Deno runs too. */
function startDecodeWorker(): Worker {
  const script = `./decode-worker${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`;
  return new Worker(new URL(script, import.meta.url), { type: "module" });
}

async function main(): Promise<number> {
  const { url: given, name, parentWatch, tune, tunings, keys, content, cacheMiB, share } = readDenoArguments(Deno.args);
  const input = Deno.stdin.readable.getReader();
  const url = given === "-" ? await readLink(input) : given;
  const lineOf = eventLines();
  const onEvent = (event: SessionEvent) => {
    const line = lineOf(event);
    if (line !== undefined) console.error(line);
    if (event.type === "joined") report({ event: "joined", worker: event.worker });
    if (event.type === "contributed") {
      report({ event: "given", samples: event.samples, samplesPerSecond: event.samplesPerSecond });
    }
  };
  const store = tunings === undefined ? undefined : fileTuningStore(tunings);
  const memory = new TuningMemory(store, (message) => onEvent({ type: "tuning", stage: "unkept", message }));
  const session = runSession({
    url,
    name,
    runtime: "deno",
    openDecoding: decodeBeside(webDecodeThread(startDecodeWorker), threadsFor(navigator.hardwareConcurrency)),
    ports: runtimePorts(),
    openIdentity: () =>
      openIdentity(keys === undefined ? undefined : fileKeyStore(keys, new URL(url).hostname), (message) =>
        console.error(message),
      ),
    openDevice: async () => {
      const open = await requestDevice(findGpu(globalThis), "deno");
      return gpuDevice(open, (circumstances) =>
        tune ? tuningOptions(open, navigator.userAgent, { ...circumstances, memory }) : untuned(open, circumstances),
      );
    },
    kept: content === undefined ? undefined : await openKept(content, new URL(url).hostname, cacheMiB),
    tracking: trackingPorts(readJpegModule),
    onEvent,
    share,
  });
  leaveOnSignals(session);
  if (parentWatch) leaveWithParent(session, input);
  const end = await session.ended;
  if (end.kind === "failed") report({ event: "failed", code: end.code, message: end.message });
  else report({ event: "ended" });
  return end.kind === "failed" ? 1 : 0;
}

let exitCode = 1;
try {
  exitCode = await main();
} catch (error) {
  const { code, message } =
    error instanceof BitswarmError
      ? error
      : { code: "COMPUTE_FAILED", message: `an unexpected error: ${String(error)}` };
  console.error(`error ${code}: ${message}`);
  report({ event: "failed", code, message });
}
Deno.exit(exitCode);

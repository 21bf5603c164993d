// Lines of a benchmark as text for people.

import type { Line } from "./line.ts";
import { LONG_MS } from "./main-thread.ts";

const pad = (text: string | number, width: number) => String(text).padStart(width);
const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const shares = (of: Readonly<Record<string, number>>) =>
  Object.entries(of)
    .map(([name, value]) => `${name} ${value} %`)
    .join(", ");

export function lineText(line: Line): string {
  switch (line.record) {
    case "adapter": {
      const names = [line.vendor, line.architecture, line.description].filter(Boolean).join(" ");
      return `${line.runtime} · ${names}${line.software ? " (software)" : ""}\nfeatures: ${line.features.join(" ")}`;
    }
    case "policy":
      return `policy: ${line.text}\n`;
    case "note":
      return line.text;
    case "gpu-wait":
      return `${line.name}: ${line.ms} ms a microbatch, ${line.decodedBeforeMs} with images decoded before; the trainer waited for ${percent(line.waited)} of the time (${line.adapter})`;
    case "ranges": {
      const { perCoreSecond, mebibytesPerCoreSecond } = line;
      const core = perCoreSecond ? `; ${perCoreSecond} and ${mebibytesPerCoreSecond} MiB a second of a core` : "";
      return `${line.name}: ${line.perSecond} a second, ${line.mebibytesPerSecond} MiB/s by the clock${core}`;
    }
    case "images": {
      const ours = `${line.name}: ${line.perSecond} a second and core (${line.coreMs} ms; by the clock ${line.ms} ms)`;
      const part = Object.entries(line.parts).map(([name, share]) => `${name} ${percent(share)}`);
      const beside = line.beside
        ? `\n  ${line.ratio}× ${line.beside}, which has ${line.theirs}; bytes ${line.sameBytes ? "are the same" : "DIFFER"}`
        : "";
      return `${ours}${part.length > 0 ? `\n  ${part.join(", ")}` : ""}${beside}`;
    }
    case "traffic": {
      const crowd = `${pad(line.workers, 3)} workers, ${pad(line.cacheGB, 4)} GB each`;
      return `${line.name.padEnd(28)} ${crowd}: ×${line.sets.toFixed(2)}, at most ${percent(line.peakOfSet)} in a step`;
    }
    case "page": {
      const { visit, visits, firstPaintMs, scripts, scriptBytes } = line;
      return `visit, ${visit} (${visits}): first paint after ${firstPaintMs} ms; ${scripts} scripts before Start, ${(scriptBytes / 1000).toFixed(1)} kB over the line`;
    }
    case "inference": {
      const { name, ours, onnx, faster, smaller } = line;
      const sizes = `${mebibytes(ours.bytes)} and ${mebibytes(onnx.bytes)} MiB (÷ ${smaller.toFixed(1)})`;
      return `${name.padEnd(38)} ${pad(ours.ms.toFixed(2), 8)} ms, floats in onnxruntime-web ${pad(onnx.ms.toFixed(2), 8)} ms (× ${faster.toFixed(1)}); ${sizes}`;
    }
    case "scripts":
      return `with Start: ${line.scripts} scripts, ${(line.scriptBytes / 1000).toFixed(1)} kB over the line`;
    case "main-thread": {
      const { stage, tasks, longestMs, longestCpuMs, long, longByCpu } = line;
      return `main thread, ${stage}: longest of ${tasks} tasks ${longestMs.toFixed(1)} ms, of its own time ${longestCpuMs.toFixed(1)} ms; above ${LONG_MS} ms: ${long}, of their own time ${longByCpu} (${line.adapter})`;
    }
    case "dashboard": {
      const each = `${(line.bytesPerLook / 1024).toFixed(1)} KiB a look to each of ${line.viewers} pages, the whole ${(line.wholeBytes / 1024).toFixed(0)} KiB`;
      return `${line.workers} workers: ${line.msPerLook} ms of CPU a look, ${percent(line.share)} of a core at one a second (${line.looks} looks); ${each}`;
    }
    case "compile": {
      const run =
        line.ms === undefined ? "" : ` first run +${pad(line.firstMs ?? 0, 7)} ms, then ${pad(line.ms, 7)} ms`;
      return `${line.name.padEnd(96)} ${line.tiling.padEnd(18)} ${pad(line.compileMs, 7)} ms${run}`;
    }
    case "visit": {
      const at = (value: number | null) => (value === null ? "–" : `${value} s`);
      return `${line.runtime} ${line.visit.padEnd(8)} first sample ${at(line.accepted)} (worst ${at(line.worst)} of ${line.rounds}); adapter ${at(line.adapter)}, welcome ${at(line.welcome)}, ${line.kernels} kernels compiled ${at(line.prepared)}, lease ${at(line.lease)}; full speed from ${at(line.full)}, ${line.speed} samples/s`;
    }
    case "roof":
      return `roof ${line.name.padEnd(12)} ${pad(line.value, 10)} ${line.unit}`;
    case "kernel": {
      const name = `${line.name.padEnd(44)} ${line.tiling.padEnd(22)}`;
      if (line.error) return `${name} ${line.error}`;
      return `${name} ${pad(line.ms, 8)} ms ${pad(line.giga, 8)} ${line.unit.padEnd(7)} ${pad(percent(line.share), 7)} of the roof`;
    }
    case "elementwise":
      return `${line.name.padEnd(67)} ${pad(line.ms, 8)} ms ${pad(line.gigabytesPerSecond, 8)} GB/s    ${pad(percent(line.share), 7)} of a copy`;
    case "step":
      return [
        `${line.name}: ${line.ms} ms (median ${line.medianMs}), ${line.launches} launches`,
        `  GPU time: ${shares(line.share)} (each class alone, ${line.replayedMs} ms together)`,
        ...(line.timestampShare ? [`  by timestamps: ${shares(line.timestampShare)}`] : []),
        `  host ${line.hostMs} ms a microbatch (${line.hostPercent} %), plan ${mebibytes(line.planBytes)} of ${mebibytes(line.keptInF32)} MiB in f32`,
        `  ${line.pipelines} pipelines compiled in ${line.compileMs} ms`,
      ].join("\n");
    case "launch":
      return `  ${line.class.padEnd(15)} ${line.name.padEnd(60)} ${pad(line.ms, 8)} ms ${pad(line.bytes, 10)} bytes`;
    case "track": {
      const { name, ms, coreMs, framesPerSecond, share, layers, layersMs, bytes } = line;
      const core = coreMs === undefined ? "" : `, ${coreMs} ms of cores`;
      return [
        `${name}: ${framesPerSecond} frames a second (${ms} ms${core}); file ${mebibytes(bytes)} MiB`,
        `  a frame: ${shares(share)}`,
        `  the backbone's layers by themselves, ${layersMs} ms: ${shares(layers)}`,
      ].join("\n");
    }
    case "track-training":
      return `${line.name.padEnd(72)} ${pad(line.pairsPerSecond, 7)} pairs a second (${line.ms} ms, median ${line.medianMs})`;
    case "method": {
      const layers = Object.entries(line.passes).map(([layer, passes]) => `${layer} ${passes}`);
      return [
        `${line.name.padEnd(36)} ${pad(line.ms, 8)} ms (median ${line.medianMs}): ${line.ofFull}× full precision, ${line.ofRbcn}× RBCN`,
        `  passes: ${layers.join(", ")}`,
      ].join("\n");
    }
    case "passes":
      return `${line.name.padEnd(36)} ${pad(line.passes, 2)} passes ${line.tiling.padEnd(16)} ${pad(line.ms, 8)} ms: ${pad(line.ofBinary, 6)}× the 1-bit convolution, ${pad(line.ofFloat, 6)}× the float one`;
    case "peer":
      return `${line.name.padEnd(48)} ${line.library.padEnd(12)} ${pad(line.ms, 9)} ms (median ${line.medianMs}, ${line.runs} runs)`;
    case "ratio":
      return `${line.name.padEnd(48)} ${pad(line.ratio, 8)}× ${line.of}`;
    case "agreement":
      return `${line.name.padEnd(48)} ${line.library} ${line.tensor}: error ${line.error.toExponential(2)}${line.agrees ? "" : ` above ${line.tolerance.toExponential(2)}: THEY DIFFER`}`;
    case "allreduce": {
      const parts = `check and sum ${line.sumMs}, copy and CRC ${line.checksumMs}; end of a round ${line.finishMs}`;
      const size = `${pad(line.bytes, 9)} bytes (1/${line.ofFloat} of float32)`;
      return `${line.codec.padEnd(6)} ${size} ${pad(line.perSecond, 6)}/s  ${pad(line.coreMs, 6)} ms of a core (${line.medianMs} by the clock, the best ${line.ms}; ${parts})  ${line.ofPlain}× the plain sum's speed`;
    }
    case "event-loop": {
      const what = `${line.contributions} contributions, ${mebibytes(line.bytes)} MiB, ${line.steps} steps and checkpoints in ${line.seconds} s`;
      return `${line.codec.padEnd(6)} event loop: longest turn ${line.worstMs} ms, after the first step ${line.afterFirstMs} ms, p99 ${line.p99Ms} ms (idle ${line.idleMs} ms), the longest without the wait for a core ${line.ownMs} ms; ${(line.parameters / 1e6).toFixed(1)} M parameters, ${what}`;
    }
    case "accuracy": {
      const share = (network: string) => (line.scores[network] ? percent(line.scores[network].value) : "none");
      return `${line.codec.padEnd(6)} 1-bit student ${share("student")}, teacher ${share("teacher")} after ${line.steps} steps`;
    }
    default:
      return line satisfies never;
  }
}

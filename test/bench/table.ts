// Lines of a benchmark as text for people.

import type { Line } from "./line.ts";

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

// What the demo says, in words.

import { bytesText } from "../../shared/base/bytes-text.ts";
import type { ExportedModel, ExportedScore } from "../../shared/export/exported-model.ts";
import type { Prediction } from "../inference/index.ts";
import type { BitCount, LayerBits, SignPicture } from "./bits.ts";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** As precise near all as near nothing, so that what stands below each other makes up 100 %. */
export function percent(share: number): string {
  if (share === 0 || share === 1) return `${100 * share} %`;
  if (share < 0.0005) return "< 0.1 %";
  if (share >= 0.9995) return "> 99.9 %";
  return `${(100 * share).toFixed(share > 0.0995 && share < 0.9005 ? 0 : 1)} %`;
}

export function timeText(ms: number | undefined): string {
  if (ms === undefined) return "–";
  if (ms < 0.1) return "under 0.1 ms";
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${whole.format(ms)} ms`;
}

/** A share of 1 as percent, any other score as it is. */
export function scoreText(score: Pick<ExportedScore, "name" | "value"> | undefined): string {
  if (score === undefined) return "not measured yet";
  return score.name === "accuracy"
    ? `${(100 * score.value).toFixed(1)} % right`
    : `${score.name} ${score.value.toFixed(3)}`;
}

export function sizeText({ sizes, network }: Pick<ExportedModel, "sizes" | "network">): string {
  const size = bytesText(sizes.bytes);
  const times = sizes.fullPrecisionBytes / sizes.bytes;
  return network.precision === "full" || times < 1.05
    ? size
    : `${size}, ${times.toFixed(1)} times smaller than in floats`;
}

/** What a network says, in a sentence; nothing before it was asked. */
export function answerText([best]: readonly Prediction[]): string {
  return best === undefined ? "–" : `${best.label}, ${percent(best.probability)}`;
}

/** Its sum is the size that stands above. */
export function bitsText({ bits, floats, statistics }: BitCount): string {
  const together = bytesText(bits / 8 + 4 * floats);
  const left =
    statistics === 0
      ? ""
      : ` Not counted are the ${whole.format(statistics)} running means and variances of its batch norms, which fold into scales and shifts.`;
  if (bits === 0) return `All ${whole.format(floats)} numbers of this network have 32 bits each: ${together}.${left}`;
  const [small, large] = [bytesText(bits / 8), bytesText(4 * floats)];
  return `${whole.format(bits)} weights of this network are a single bit each: ${small}. The ${whole.format(floats)} numbers beside them, which scale and shift, have 32 bits each: ${large}. Together that is ${together}.${left}`;
}

export function pictureText({ name, out, channels, kernel, planes }: LayerBits, shown: SignPicture): string {
  const parts =
    shown.filters < out || shown.channels < channels
      ? `, of which ${shown.filters} and ${shown.channels} are shown`
      : "";
  const plane = planes > 1 ? `; the first of ${planes} bits a weight` : "";
  return `${name}: a column for each of ${out} filters, a row for each of ${channels} channels that it looks at${parts}, ${kernel} × ${kernel} weights where they meet${plane}. Light is +1, dark is −1.`;
}

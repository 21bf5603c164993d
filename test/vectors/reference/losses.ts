// The two losses of a step in float64: softmax cross-entropy, and the discriminators' game.

import type { Values } from "./network.ts";

export interface TaskLoss {
  readonly loss: number;
  readonly top1: number;
  readonly top5: number;
  readonly gradient: Float64Array;
}

export function crossEntropy(logits: Float64Array, labels: ArrayLike<number>, smoothing: number): TaskLoss {
  const n = labels.length;
  const classes = logits.length / n;
  const gradient = new Float64Array(logits.length);
  let [loss, top1, top5] = [0, 0, 0];
  for (let b = 0; b < n; b++) {
    const z = logits.subarray(b * classes, (b + 1) * classes);
    const most = Math.max(...z);
    const total = z.reduce((sum, v) => sum + Math.exp(v - most), 0);
    const label = labels[b];
    let rank = 0;
    z.forEach((v, k) => {
      const wanted = (k === label ? 1 - smoothing : 0) + smoothing / classes;
      loss -= (wanted * (v - most - Math.log(total))) / n;
      gradient[b * classes + k] = (Math.exp(v - most) / total - wanted) / n;
      if (v > z[label] || (v === z[label] && k < label)) rank++;
    });
    top1 += (rank < 1 ? 1 : 0) / n;
    top5 += (rank < 5 ? 1 : 0) / n;
  }
  return { loss, top1, top5, gradient };
}

const WIDTHS = [128, 256, 128, 1];
const SLOPE = 0.2;
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));

interface Layer {
  readonly weight: ArrayLike<number>;
  readonly bias: ArrayLike<number>;
  readonly input: Float64Array;
}

/** The logit of a pooled map, and each layer with what it was given. */
function judge(
  map: string,
  values: Values,
  x: Float64Array,
): { readonly logit: number; readonly layers: readonly Layer[] } {
  const layers: Layer[] = [];
  let input = x;
  WIDTHS.forEach((out, layer) => {
    const [weight, bias] = ["weight", "bias"].map((name) => values.get(`discriminator.${map}.${layer}.${name}`)!);
    layers.push({ weight, bias, input });
    const width = input.length;
    input = Float64Array.from({ length: out }, (_, o) => {
      let sum = bias[o];
      for (let i = 0; i < width; i++) sum += weight[o * width + i] * layers[layer].input[i];
      return layer < WIDTHS.length - 1 && sum <= 0 ? SLOPE * sum : sum;
    });
  });
  return { logit: input[0], layers };
}

/** Goes back with ∂/∂logit; adds to the parameters' gradients where there are some. Returns ∂/∂(the pooled map). */
function back(
  layers: readonly Layer[],
  dLogit: number,
  add?: (layer: number, dw: Float64Array, db: Float64Array) => void,
) {
  let dy = Float64Array.of(dLogit);
  for (let layer = layers.length - 1; layer >= 0; layer--) {
    const { weight, input } = layers[layer];
    const width = input.length;
    const dx = new Float64Array(width);
    const dw = new Float64Array(dy.length * width);
    dy.forEach((g, o) => {
      for (let i = 0; i < width; i++) {
        dw[o * width + i] = g * input[i];
        dx[i] += g * weight[o * width + i];
      }
    });
    add?.(layer, dw, dy);
    // What a hidden layer put out has the sign of what went into its LeakyReLU.
    dy = layer > 0 ? dx.map((g, i) => (input[i] > 0 ? g : SLOPE * g)) : dx;
  }
  return dy;
}

export interface Game {
  /** scale · Σ over maps of mean softplus(−r) + mean softplus(t). */
  readonly discriminator: number;
  /** scale · Σ over maps of mean (1 − σ(t))². */
  readonly adversarial: number;
  /** Of each map means of σ(r) and of σ(t). */
  readonly answers: readonly number[];
  readonly gradients: ReadonlyMap<string, Float64Array>;
  /** Of lambda · adversarial, by map: [n][c] of the student's pooled map. */
  readonly dPooled: ReadonlyMap<string, Float64Array>;
}

/** @param maps pooled maps [n][c] of teacher and student, by the binary layer's name */
export function play(
  maps: readonly { readonly name: string; readonly real: Float64Array; readonly fake: Float64Array }[],
  n: number,
  values: Values,
  { lambda, scale }: { readonly lambda: number; readonly scale: number },
): Game {
  const gradients = new Map<string, Float64Array>();
  const dPooled = new Map<string, Float64Array>();
  let [discriminator, adversarial] = [0, 0];
  const answers: number[] = [];
  for (const { name, real, fake } of maps) {
    const add = (layer: number, dw: Float64Array, db: Float64Array) => {
      for (const [tensor, g] of [
        ["weight", dw],
        ["bias", db],
      ] as const) {
        const key = `discriminator.${name}.${layer}.${tensor}`;
        const sum = gradients.get(key) ?? new Float64Array(g.length);
        g.forEach((v, i) => {
          sum[i] += v;
        });
        gradients.set(key, sum);
      }
    };
    const c = real.length / n;
    const reaches = new Float64Array(n * c);
    let [ofReal, ofFake] = [0, 0];
    for (let b = 0; b < n; b++) {
      const r = judge(name, values, real.slice(b * c, (b + 1) * c));
      const t = judge(name, values, fake.slice(b * c, (b + 1) * c));
      discriminator += (scale / n) * (softplus(-r.logit) + softplus(t.logit));
      ofReal += sigmoid(r.logit) / n;
      ofFake += sigmoid(t.logit) / n;
      const caught = 1 - sigmoid(t.logit);
      adversarial += (scale / n) * caught ** 2;
      back(r.layers, (-scale / n) * sigmoid(-r.logit), add);
      back(t.layers, (scale / n) * sigmoid(t.logit), add);
      // d(1 − σ)²/dt = −2(1 − σ)·σ(1 − σ).
      reaches.set(back(t.layers, ((lambda * scale) / n) * -2 * caught ** 2 * sigmoid(t.logit)), b * c);
    }
    dPooled.set(name, reaches);
    answers.push(ofReal, ofFake);
  }
  return { discriminator, adversarial, answers, gradients, dPooled };
}

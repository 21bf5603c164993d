// Factors of a convolution's output against loops: XNOR-Net++'s Γ and its gradients, XNOR-Net's K.
import { expect, test } from "vitest";
import { gammaGradients, gammaScale } from "../../kernels/layers/gamma.ts";
import { inputScale, scalePositions } from "../../kernels/layers/input-scale.ts";
import type { GammaAxis } from "../../shared/model/graph.ts";
import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
import { runKernels, type Tensor, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

const AXES: readonly (readonly GammaAxis[])[] = [["c"], ["h"], ["w", "c"], ["h", "w"], ["c", "h", "w"]];

test.each(AXES.map((axes) => [axes.join(", "), axes] as const))(
  "gamma over %s multiplies by its factors and sums their gradients",
  async (_, axes) => {
    const device = await testDevice();
    for (const [n, h, w, channels] of [
      [1, 1, 1, 1],
      [2, 5, 3, 33],
      [3, 8, 6, 16],
    ] as const) {
      const sizes = { c: channels, h, w };
      const factors = { c: uniform(channels, 1), h: uniform(h, 2), w: uniform(w, 3) };
      const bound: Record<string, Tensor> = {};
      for (const axis of axes) bound[`by_${axis}`] = factors[axis];
      const size = n * h * w * channels;
      const [x, dy, before] = [uniform(size, 4), uniform(size, 5), uniform(size, 6)];
      const places = (i: number) => ({
        c: i % channels,
        w: Math.floor(i / channels) % w,
        h: Math.floor(i / (channels * w)) % h,
      });
      const product = (i: number, without?: GammaAxis) =>
        axes.reduce((p, axis) => (axis === without ? p : p * factors[axis][places(i)[axis]]!), 1);
      const what = `${n}x${h}x${w}x${channels}`;
      const scaled = gammaScale({ n, h, w, channels, axes, accumulate: true });
      const { y } = await runKernels(device, scaled, { x, ...bound, y: before } as Record<string, Tensor>);
      expectWithin(
        y!,
        Float64Array.from(x, (v, i) => before[i]! + v * product(i)),
        6 * 2 ** -24,
        what,
      );
      const inputs: Record<string, Tensor> = { dy, x, ...bound };
      for (const axis of axes) inputs[`d_${axis}`] = new Float32Array(sizes[axis]).fill(Number.NaN);
      const kernels = gammaGradients({ n, h, w, channels, axes });
      const result = await runKernels(device, kernels, inputs);
      const again = await runKernels(device, kernels, inputs);
      for (const axis of axes) {
        const wanted = new Float64Array(sizes[axis]);
        for (let i = 0; i < size; i++) wanted[places(i)[axis]]! += dy[i]! * x[i]! * product(i, axis);
        expectWithin(result[`d_${axis}`]!, wanted, 16 * Math.sqrt(size) * 2 ** -24, `${what} d_${axis}`);
        expect(again[`d_${axis}`], what).toEqual(result[`d_${axis}`]);
      }
    }
  },
);

const SHAPES: readonly WindowShape[] = [
  { n: 2, h: 5, w: 7, in: 33, out: 4, kernel: 3, stride: 1, padding: 1 },
  { n: 1, h: 6, w: 4, in: 8, out: 3, kernel: 3, stride: 2, padding: 1 },
  { n: 3, h: 4, w: 5, in: 1, out: 16, kernel: 1, stride: 2, padding: 0 },
];

test.each(SHAPES)(
  "inputScale of $h x $w x $in by $kernel is the mean |x| of each window, padding counted",
  async (s) => {
    const device = await testDevice();
    const [oh, ow] = [outputHeight(s), outputWidth(s)];
    const x = uniform(s.n * s.h * s.w * s.in, 1);
    const { k } = await runKernels(device, inputScale(s), { x, k: new Float32Array(s.n * oh * ow).fill(Number.NaN) });
    const wanted = Float64Array.from(k, (_, at) => {
      let sum = 0;
      for (let ky = 0; ky < s.kernel; ky++) {
        for (let kx = 0; kx < s.kernel; kx++) {
          const row = (Math.floor(at / ow) % oh) * s.stride + ky - s.padding;
          const column = (at % ow) * s.stride + kx - s.padding;
          if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
          const first = ((Math.floor(at / (oh * ow)) * s.h + row) * s.w + column) * s.in;
          for (let i = 0; i < s.in; i++) sum += Math.abs(x[first + i]!);
        }
      }
      return sum / (s.kernel * s.kernel * s.in);
    });
    expectWithin(k, wanted, 32 * 2 ** -24, "k");
    const channels = s.out;
    const [map, before] = [uniform(k.length * channels, 2), uniform(k.length * channels, 3)];
    for (const accumulate of [false, true]) {
      const kernel = scalePositions({ positions: k.length, channels, accumulate });
      const { y } = await runKernels(device, kernel, { x: map, k, y: before });
      const scaled = Float64Array.from(map, (v, i) => v * k[Math.floor(i / channels)]! + (accumulate ? before[i]! : 0));
      expectWithin(y, scaled, 4 * 2 ** -24, "y");
    }
  },
);

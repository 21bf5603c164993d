// Makes the plans of this process train as an int8 backward would: each 1-bit convolution's output gradient is rounded before
// its dx and dw. The int8 products equal the f32 kernels on the rounded gradient, bit for bit where C is 1 (measurement.ts checks it).
import type { ConvolutionPass } from "../../../kernels/convolution/pass/pass.ts";
import { outputHeight, outputWidth } from "../../../shared/model/window.ts";
import { LaunchList, type Ref } from "../../../worker/plan/launch-list.ts";
import { Recording, storageBuffer } from "../../../worker/plan/recording.ts";
import { powerOfTwoScale, roundGradient } from "./quantise.ts";

export interface BackwardRounding {
  /** Whether plans compiled from now on round; at first they do. */
  wanted: boolean;
  /** Sets the draws of what is submitted from now on. */
  draw(seed: number): void;
}

/** The layer whose backward was recorded last. */
interface Rounded {
  readonly layer: number;
  readonly dy: Ref;
  readonly values: Ref;
}

function roundedGradient(list: LaunchList, { shape }: ConvolutionPass, dy: Ref, layer: number): Rounded {
  const size = shape.n * outputHeight(shape) * outputWidth(shape) * shape.out;
  const [scale, values] = [list.tensor(2), list.tensor(size)];
  list.run(powerOfTwoScale(size), { dy, scale });
  const seed: Ref = { kind: "external", buffer: "sample.seed", offset: 0, bytes: 4 };
  list.run(roundGradient(size, layer), { dy, scale, seed, values });
  return { layer, dy, values };
}

/** For good: a process that measures nothing else. The product has no option for it, as rounding did not win. */
export function roundBackward(device: GPUDevice): BackwardRounding {
  const seed = storageBuffer(device, "seed", 4);
  const rounding: BackwardRounding = {
    wanted: true,
    draw: (word) => device.queue.writeBuffer(seed, 0, Uint32Array.of(word)),
  };

  const { convolve } = LaunchList.prototype;
  const last = new WeakMap<LaunchList, Rounded>();
  LaunchList.prototype.convolve = function (this: LaunchList, pass, refs) {
    const binary = pass.verb === "binaryConvInputGradient" || pass.verb === "binaryConvWeightGradient";
    if (!binary || !rounding.wanted) {
      convolve.call(this, pass, refs);
      return;
    }
    // dw and dx of a layer are recorded one after the other and share the rounded gradient.
    let of = last.get(this);
    if (of?.dy !== refs.dy) of = roundedGradient(this, pass, refs.dy, of ? of.layer + 1 : 0);
    last.set(this, of);
    convolve.call(this, pass, { ...refs, dy: of.values });
  };

  const create = Recording.create;
  Recording.create = (cache, list, externals) => create.call(Recording, cache, list, { ...externals, seed });
  return rounding;
}

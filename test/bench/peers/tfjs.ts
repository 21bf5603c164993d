// TensorFlow.js on its WebGPU backend, with binary layers simulated as floats: the way 1-bit networks are trained
// elsewhere.

import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import type { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import "@tensorflow/tfjs-backend-webgpu";
import type { GraphNode } from "../../../shared/model/graph.ts";
import { NORM_EPSILON } from "../../../shared/model/graph.ts";
import { outputHeight, outputWidth } from "../../../shared/model/window.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { type LayerData, type LayerRun, type NetworkData, type NetworkRun, type Peer, trained } from "./peer.ts";
import { permute, unpermute } from "./permute.ts";

/** [out][kh][kw][in] to TensorFlow's [kh][kw][in][out]. */
const FILTER = [1, 2, 3, 0];

/** ±1, 0 counting as +1; derivative 2 − 2|x| on |x| < 1 (Bi-Real, Liu et al. 2018). */
const sign = tf.customGrad((input, save) => {
  const x = input as tf.Tensor;
  (save as tf.GradSaveFunc)([x]);
  const value = tf.sub(tf.mul(tf.cast(tf.greaterEqual(x, 0), "float32"), 2), 1);
  const gradFunc = (dy: tf.Tensor, saved: tf.Tensor[]) =>
    tf.mul(dy, tf.mul(2, tf.maximum(0, tf.sub(1, tf.abs(saved[0])))));
  return { value, gradFunc };
});

/**
 * Reading a value ends the pass and submits all that was recorded; `submitQueue` alone would submit an open pass, which
 * fails.
 */
async function settle(pending: tf.Tensor[]): Promise<void> {
  const element = tf.tidy(() => tf.slice(tf.reshape(pending[pending.length - 1], [-1]), 0, 1));
  await element.data();
  await (tf.backend() as WebGPUBackend).device.queue.onSubmittedWorkDone();
  tf.dispose([element, ...pending]);
}

const floats = async (tensor: tf.Tensor) => (await tensor.data()) as Float32Array;

function layer(data: LayerData): LayerRun {
  const { n, h, w, in: input, out, kernel, stride, padding } = data.shape;
  const filterShape = [out, kernel, kernel, input];
  const x = tf.tensor4d(data.x, [n, h, w, input]);
  const weight = tf.tensor4d(permute(data.w, filterShape, FILTER), [kernel, kernel, input, out]);
  const c = tf.tensor4d(data.c, [kernel, kernel, 1, 1]);
  const dy = tf.tensor4d(data.dy, [n, outputHeight(data.shape), outputWidth(data.shape), out]);
  const f = (a: tf.Tensor, b: tf.Tensor) =>
    tf.conv2d(sign(a) as tf.Tensor4D, tf.mul(sign(b), c) as tf.Tensor4D, stride, padding);
  const gradients = tf.valueAndGrads(f as (...args: tf.Tensor[]) => tf.Tensor);
  const forward = () => tf.tidy(() => f(x, weight));
  const backward = () => tf.tidy(() => gradients([x, weight], dy));
  return {
    forward: () => settle([forward()]),
    forwardBackward: () => {
      const { value, grads } = backward();
      return settle([value, ...grads]);
    },
    results: async () => {
      const { value, grads } = backward();
      const [y, dx, dw] = [await floats(value), await floats(grads[0]), await floats(grads[1])];
      tf.dispose([value, ...grads]);
      return { y, dx, dw: unpermute(dw, filterShape, FILTER) };
    },
    dispose: () => tf.dispose([x, weight, c, dy]),
  };
}

/** One node's value from those before it. */
function evaluate(node: GraphNode, values: readonly tf.Tensor[], get: (name: string) => tf.Tensor): tf.Tensor {
  if (node.op === "input") return values[0];
  if (node.op === "xcorr") throw new RangeError("this peer computes no xcorr");
  const x = values[node.input];
  const x4 = x as tf.Tensor4D;
  switch (node.op) {
    case "conv":
      return tf.conv2d(x4, get(`${node.name}.weight`) as tf.Tensor4D, node.stride, node.padding);
    case "rbconv": {
      const w = tf.mul(sign(get(`${node.name}.weight`)), get(`${node.name}.c`)) as tf.Tensor4D;
      return tf.conv2d(sign(x) as tf.Tensor4D, w, node.stride, node.padding);
    }
    case "batchnorm": {
      const { mean, variance } = tf.moments(x, [0, 1, 2]);
      const [offset, scale] = [get(`${node.name}.bias`), get(`${node.name}.weight`)] as tf.Tensor1D[];
      return tf.batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, offset, scale, NORM_EPSILON);
    }
    case "activation":
      if (node.kind !== "prelu") throw new RangeError(`no peer has been given ${node.kind}`);
      return tf.prelu(x, get(`${node.name}.weight`));
    case "pool":
      return (node.kind === "max" ? tf.maxPool : tf.avgPool)(x4, node.kernel, node.stride, node.padding);
    case "globalpool":
      return tf.mean(x, [1, 2], true);
    case "add":
      return tf.add(x, values[node.other]);
    case "linear": {
      const flat = tf.reshape(x, [x.shape[0], -1]);
      return tf.add(tf.matMul(flat, get(`${node.name}.weight`), false, true), get(`${node.name}.bias`));
    }
    case "qconv":
    case "quantise":
    case "gamma":
    case "inputscale":
    case "gradientbits":
      throw new RangeError(`this peer computes no ${node.op}`);
    default:
      return node satisfies never;
  }
}

function network(data: NetworkData): NetworkRun {
  const { graph, manifest, n } = data;
  const { h, w, c } = graph.shapes[0];
  const entries = trained(manifest);
  const orderOf = (shape: readonly number[]) => (shape.length === 4 ? FILTER : shape.map((_, axis) => axis));
  const images = tf.tensor4d(data.images, [n, h, w, c]);
  const classes = graph.shapes[graph.output].c;
  const targets = tf.tidy(() =>
    tf.cast(tf.oneHot(tf.tensor1d(Int32Array.from(data.labels), "int32"), classes), "float32"),
  );
  const held = entries.map(({ name, shape }) => {
    const order = orderOf(shape);
    return tf.tensor(
      permute(parameter(data.parameters, name), shape, order),
      order.map((axis) => shape[axis]),
    );
  });
  const loss = (...given: tf.Tensor[]): tf.Scalar => {
    const byName = new Map(entries.map(({ name }, i) => [name, given[i]]));
    const get = (name: string): tf.Tensor => {
      const found = byName.get(name);
      if (!found) throw new RangeError(`no parameter named ${name}`);
      return found;
    };
    const values: tf.Tensor[] = [images];
    graph.nodes.forEach((node, id) => {
      if (id > 0) values.push(evaluate(node, values, get));
    });
    return tf.losses.softmaxCrossEntropy(targets, values[graph.output]) as tf.Scalar;
  };
  const gradients = tf.valueAndGrads(loss);
  const run = () => tf.tidy(() => gradients(held));
  return {
    step: () => {
      const { value, grads } = run();
      return settle([value, ...grads]);
    },
    results: async () => {
      const { value, grads } = run();
      const found = new Map<string, Float32Array>();
      for (const [i, { name, shape }] of entries.entries()) {
        found.set(name, unpermute(await floats(grads[i]), shape, orderOf(shape)));
      }
      const [first] = await floats(value);
      tf.dispose([value, ...grads]);
      return { loss: first, gradients: found };
    },
    dispose: () => tf.dispose([images, targets, ...held]),
  };
}

export async function openTfjs(): Promise<Peer> {
  await tf.setBackend("webgpu");
  await tf.ready();
  return {
    name: `tfjs-webgpu ${tf.version_core}`,
    waits: "data() of one element after all results, then onSubmittedWorkDone() of its device",
    layer: async (data) => layer(data),
    network: async (data) => network(data),
  };
}

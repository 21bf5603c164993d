// jax-js on WebGPU, jit-compiled, with binary layers simulated as floats.

import {
  blockUntilReady,
  defaultDevice,
  getWebGPUDevice,
  init,
  jit,
  lax,
  nn,
  numpy as np,
  type Array as Tensor,
  tree,
  valueAndGrad,
  vjp,
} from "@jax-js/jax";
import type { GraphNode } from "../../../shared/model/graph.ts";
import { NORM_EPSILON } from "../../../shared/model/graph.ts";
import { outputHeight, outputWidth } from "../../../shared/model/window.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { type LayerData, type LayerRun, type NetworkData, type NetworkRun, type Peer, trained } from "./peer.ts";
import { permute, unpermute } from "./permute.ts";

/** [out][kh][kw][in] to [out][in][kh][kw]. */
const FILTER = [0, 3, 1, 2];
/** [n][h][w][c] to [n][c][h][w]. */
const IMAGE = [0, 3, 1, 2];

/** An array in JAX's axis order; every function takes ownership of its arguments, `.ref` keeps one. */
function array(values: Float32Array, shape: readonly number[], order: readonly number[]): Tensor {
  return np.array(permute(values, shape, order)).reshape(order.map((axis) => shape[axis]));
}

/** ±1, 0 counting as +1; derivative 2 − 2|x| on |x| < 1 (Bi-Real, Liu et al. 2018): that of 2t − t|t|. */
function sign(x: Tensor): Tensor {
  const t = np.clip(x.ref, -1, 1);
  const soft = t.ref.mul(2).sub(t.ref.mul(np.abs(t)));
  const hard = lax.stopGradient(np.where(np.less(x, 0), -1, 1));
  return hard.add(soft.ref.sub(lax.stopGradient(soft)));
}

function convolve(x: Tensor, w: Tensor, stride: number, padding: number): Tensor {
  const sides: [number, number] = [padding, padding];
  return lax.convGeneralDilated(x, w, [stride, stride], [sides, sides]);
}

async function settle(pending: Tensor[]): Promise<void> {
  await blockUntilReady(pending);
  await getWebGPUDevice().queue.onSubmittedWorkDone();
  tree.dispose(pending);
}

const floats = async (tensor: Tensor) => (await tensor.data()) as Float32Array;

function layer(data: LayerData): LayerRun {
  const { n, h, w, in: input, out, kernel, stride, padding } = data.shape;
  const imageShape = [n, h, w, input];
  const filterShape = [out, kernel, kernel, input];
  const outputShape = [n, outputHeight(data.shape), outputWidth(data.shape), out];
  const x = array(data.x, imageShape, IMAGE);
  const weight = array(data.w, filterShape, FILTER);
  const c = np.array(Float32Array.from(data.c)).reshape([1, 1, kernel, kernel]);
  const dy = array(data.dy, outputShape, IMAGE);
  const f = (a: Tensor, b: Tensor, rectifier: Tensor) => convolve(sign(a), sign(b).mul(rectifier), stride, padding);
  const forward = jit(f);
  const backward = jit((a: Tensor, b: Tensor, rectifier: Tensor, cotangent: Tensor): Tensor[] => {
    const [y, pull] = vjp((p: Tensor, q: Tensor) => f(p, q, rectifier), [a, b]);
    const [dx, dw] = pull(cotangent) as unknown as [Tensor, Tensor];
    pull.dispose();
    return [y as Tensor, dx, dw];
  });
  const run = () => backward(x.ref, weight.ref, c.ref, dy.ref) as Tensor[];
  return {
    forward: () => settle([forward(x.ref, weight.ref, c.ref)]),
    forwardBackward: () => settle(run()),
    results: async () => {
      const [y, dx, dw] = run();
      return {
        y: unpermute(await floats(y), outputShape, IMAGE),
        dx: unpermute(await floats(dx), imageShape, IMAGE),
        dw: unpermute(await floats(dw), filterShape, FILTER),
      };
    },
    dispose: () => tree.dispose([x, weight, c, dy]),
  };
}

/** Windows that do not overlap, as axes of their own. */
function pool(x: Tensor, kind: "max" | "avg", size: number): Tensor {
  const [n, c, h, w] = x.shape;
  const windows = x.reshape([n, c, h / size, size, w / size, size]);
  return kind === "max" ? np.max(windows, [3, 5]) : np.mean(windows, [3, 5]);
}

function batchNorm(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const axes = [0, 2, 3];
  const centred = x.ref.sub(np.mean(x, axes, { keepdims: true }));
  const variance = np.mean(centred.ref.mul(centred.ref), axes, { keepdims: true });
  const scaled = centred.div(np.sqrt(variance.add(NORM_EPSILON)));
  return scaled.mul(weight.reshape([1, -1, 1, 1])).add(bias.reshape([1, -1, 1, 1]));
}

/** One node's value from those before it, which it leaves alive. */
function evaluate(node: GraphNode, values: readonly Tensor[], get: (name: string) => Tensor): Tensor {
  if (node.op === "input") return values[0];
  if (node.op === "xcorr") throw new RangeError("this peer computes no xcorr");
  const x = values[node.input].ref;
  switch (node.op) {
    case "conv":
      return convolve(x, get(`${node.name}.weight`), node.stride, node.padding);
    case "rbconv": {
      const w = sign(get(`${node.name}.weight`)).mul(get(`${node.name}.c`));
      return convolve(sign(x), w, node.stride, node.padding);
    }
    case "batchnorm":
      return batchNorm(x, get(`${node.name}.weight`), get(`${node.name}.bias`));
    case "activation": {
      if (node.kind !== "prelu") throw new RangeError(`no peer has been given ${node.kind}`);
      const slope = get(`${node.name}.weight`).reshape([1, -1, 1, 1]);
      return np.maximum(x.ref, 0).add(slope.mul(np.minimum(x, 0)));
    }
    case "pool":
      if (node.kernel !== node.stride || node.padding !== 0) throw new RangeError("only windows side by side");
      return pool(x, node.kind, node.kernel);
    case "globalpool":
      return np.mean(x, [2, 3], { keepdims: true });
    case "add":
      return x.add(values[node.other].ref);
    case "linear": {
      const flat = x.reshape([x.shape[0], -1]);
      return np.matmul(flat, get(`${node.name}.weight`).transpose()).add(get(`${node.name}.bias`));
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

type Named = Record<string, Tensor>;

function network(data: NetworkData): NetworkRun {
  const { graph, manifest, n } = data;
  const { h, w, c } = graph.shapes[0];
  const entries = trained(manifest);
  const orderOf = (shape: readonly number[]) => (shape.length === 4 ? FILTER : shape.map((_, axis) => axis));
  const images = array(data.images, [n, h, w, c], IMAGE);
  const classes = graph.shapes[graph.output].c;
  const hot = new Float32Array(n * classes);
  data.labels.forEach((label, i) => {
    hot[i * classes + label] = 1;
  });
  const targets = np.array(hot).reshape([n, classes]);
  const held: Named = Object.fromEntries(
    entries.map(({ name, shape }) => [name, array(parameter(data.parameters, name), shape, orderOf(shape))]),
  );
  const loss = (given: Named, x: Tensor, t: Tensor): Tensor => {
    const values: Tensor[] = [x];
    graph.nodes.forEach((node, id) => {
      if (id > 0) values.push(evaluate(node, values, (name) => given[name].ref));
    });
    const logProbability = nn.logSoftmax(values[graph.output].ref, -1);
    const result = np.sum(logProbability.mul(t)).mul(-1 / n);
    tree.dispose(values);
    tree.dispose(given);
    return result;
  };
  const gradients = jit(valueAndGrad(loss));
  const run = () => gradients(tree.ref(held), images.ref, targets.ref) as unknown as [Tensor, Named];
  return {
    step: () => {
      const [value, grads] = run();
      return settle([value, ...Object.values(grads)]);
    },
    results: async () => {
      const [value, grads] = run();
      const found = new Map<string, Float32Array>();
      for (const { name, shape } of entries) {
        found.set(name, unpermute(await floats(grads[name]), shape, orderOf(shape)));
      }
      return { loss: (await floats(value))[0], gradients: found };
    },
    dispose: () => tree.dispose([images, targets, ...Object.values(held)]),
  };
}

export async function openJax(): Promise<Peer> {
  const devices = await init("webgpu");
  if (!devices.includes("webgpu")) throw new Error(`jax-js found no WebGPU, only ${devices.join(", ")}`);
  defaultDevice("webgpu");
  return {
    name: "jax-js",
    waits: "blockUntilReady of every result and onSubmittedWorkDone() of its device",
    layer: async (data) => layer(data),
    network: async (data) => network(data),
  };
}

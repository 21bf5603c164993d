// Compiles a round kind into the launches of one microbatch: forward, losses, backward, and the sum into the lease's accumulator.

import { accumulateExact, accumulateFloat } from "../kernels/accumulate.ts";
import { collectMetrics } from "../kernels/collect-metrics.ts";
import { globalAveragePoolBackward, globalAveragePoolForward } from "../kernels/global-average-pool.ts";
import { softmaxCrossEntropy } from "../kernels/softmax-cross-entropy.ts";
import { type ContributionLayout, contributionLayout, METRICS, type RoundKind } from "../shared/contribution.ts";
import { type NetworkName, type Networks, roundManifest, wireManifest } from "../shared/networks.ts";
import { type BlobLayout, blobLayout } from "../shared/parameter-blob.ts";
import { outputElements, recordBackward } from "./backward.ts";
import { adversarialScale, pooledMaps, recordAdversarial } from "./discriminators.ts";
import { recordForward, sampleSize } from "./forward.ts";
import { type ChooseTiling, type ExternalBuffer, LaunchList, type Ref } from "./launch-list.ts";
import { NodeGradients } from "./node-gradients.ts";

/** Bound of one microbatch's value in units: 128 microbatches of a lease still fit an i32. */
export const EXACT_CLIP = 2 ** 23 - 1;

export interface PlanOptions {
  readonly networks: Networks;
  readonly kind: RoundKind;
  readonly network: NetworkName;
  /** Samples of the microbatch. */
  readonly n: number;
  readonly lambdaAdversarial: number;
  readonly adversarialReduce: "mean" | "sum";
  readonly labelSmoothing: number;
  /** Sum microbatches as integers (`exact`) or as floats. */
  readonly accumulate: "exact" | "float";
  /** Also computes ∂L/∂images; training never wants it. */
  readonly imageGradient?: boolean;
  /** The tiling of each convolution pass; the kernels' own first choice unless given. */
  readonly choose?: ChooseTiling;
}

export interface Plan {
  readonly list: LaunchList;
  readonly layout: ContributionLayout;
  /** The loss layer's input, f32 [n][classes]; dead after the launches unless kept. */
  readonly logits: Ref;
  /** The teacher's, in rounds that run it. */
  readonly teacherLogits?: Ref;
  readonly imageGradient?: Ref;
}

/** Ref of each tensor of a parameter blob. */
export function blobRefs(buffer: ExternalBuffer, layout: BlobLayout): (name: string) => Ref {
  return (name) => {
    const tensor = layout.tensors.get(name);
    if (!tensor) throw new RangeError(`no parameter named ${name}`);
    return { kind: "external", buffer, offset: tensor.offset, bytes: tensor.bytes };
  };
}

/** Arena range of each tensor of a contribution; undefined for one that the round does not send. */
export function arenaRefs(layout: ContributionLayout): (name: string) => Ref | undefined {
  const refs = new Map<string, Ref>(
    layout.tensors.map((t) => [
      t.name,
      { kind: "external", buffer: "gradient", offset: 4 * t.offset, bytes: 4 * t.size },
    ]),
  );
  return (name) => refs.get(name);
}

function present(ref: (name: string) => Ref | undefined): (name: string) => Ref {
  return (name) => {
    const found = ref(name);
    if (!found) throw new RangeError(`the contribution has no tensor named ${name}`);
    return found;
  };
}

function external(buffer: ExternalBuffer, bytes: number): Ref {
  return { kind: "external", buffer, offset: 0, bytes };
}

export function compilePlan(options: PlanOptions): Plan {
  const { networks, kind, network, n } = options;
  const { graph } = networks[network];
  const list = new LaunchList(options.choose);
  const layout = contributionLayout(roundManifest(networks, kind, network), kind);
  const arena = arenaRefs(layout);
  const parameter = blobRefs("parameters", blobLayout(wireManifest(networks, network)));
  const images = external("images", 4 * n * sampleSize(graph.shapes[0]));
  const trains = kind !== "evaluate";
  const adversarial = kind === "student" && networks.discriminators.entries.length > 0;

  const teacher = adversarial
    ? recordForward(list, networks.teacher.graph, n, images, {
        parameter: blobRefs("teacher", blobLayout(networks.teacher.manifest)),
      })
    : undefined;
  const buffers = trains ? { parameter, statistic: present(arena) } : { parameter };
  const trace = recordForward(list, graph, n, images, buffers);

  const logits = trace.values[graph.output];
  const { c: classes } = graph.shapes[graph.output];
  const dlogits = list.tensor(n * classes);
  const task = list.tensor(3);
  const { labelSmoothing } = options;
  list.run(softmaxCrossEntropy({ n, classes, labelSmoothing }), {
    logits,
    labels: external("labels", 4 * n),
    dlogits,
    metrics: task,
  });

  const gradients = new NodeGradients(list, outputElements(graph, n));
  const gathered: Record<string, Ref> = { task, metrics: present(arena)(METRICS) };
  let layers = 0;
  if (teacher) {
    layers = graph.maps.length;
    const tensors = { parameter, gradient: present(arena) };
    const pooled = pooledMaps(list, graph, n, tensors);
    graph.maps.forEach(({ node }, index) => {
      const { h, w, c } = graph.shapes[node];
      const pool = globalAveragePoolForward({ n, positions: h * w, channels: c });
      list.run(pool, { x: teacher.values[networks.teacher.graph.maps[index].node], y: pooled.real[index] });
      list.run(pool, { x: trace.values[node], y: pooled.fake[index] });
    });
    const { metrics, dPooled } = recordAdversarial(list, graph, pooled.real, pooled.fake, {
      n,
      lambda: options.lambdaAdversarial,
      reduce: options.adversarialReduce,
      ...tensors,
    });
    gathered.adversarial = metrics;
    graph.maps.forEach(({ node }, index) => {
      const dy = dPooled[index];
      if (!dy) return;
      const { h, w, c } = graph.shapes[node];
      gradients.contribute(node, (dx, accumulate) => {
        list.run(globalAveragePoolBackward({ n, positions: h * w, channels: c, accumulate }), { dy, dx });
      });
    });
  }
  const scale = layers > 0 ? adversarialScale(layers, options.adversarialReduce) : 1;
  list.run(collectMetrics({ layers, scale }), gathered);
  if (trains) {
    gradients.add(graph.output, dlogits);
    recordBackward(list, graph, n, buffers, trace, gradients, {
      gradient: arena,
      inputGradient: options.imageGradient ?? false,
    });
  }
  recordAccumulation(list, layout, n, options.accumulate);
  const teacherLogits = teacher?.values[networks.teacher.graph.output];
  const imageGradient = options.imageGradient ? gradients.get(0) : undefined;
  return { list, layout, logits, ...(teacherLogits && { teacherLogits }), ...(imageGradient && { imageGradient }) };
}

function recordAccumulation(list: LaunchList, layout: ContributionLayout, n: number, how: "exact" | "float"): void {
  const { size, tensors, segments } = layout;
  const refs = {
    gradient: external("gradient", 4 * size),
    segments: external("segments", segments.byteLength),
    sum: external("sum", 4 * size),
    peak: external("peaks", 4 * tensors.length),
  };
  if (how === "exact") {
    const scale = external("scales", 4 * tensors.length);
    list.run(accumulateExact({ size, weight: n, clip: EXACT_CLIP }), { ...refs, scale });
  } else {
    list.run(accumulateFloat({ size, weight: n }), refs);
  }
}

// How to read an exported network, in words that stand in the file itself: whoever finds one needs nothing else.

import type { WeightForm } from "../model/graph.ts";
import type { ExportedNode, ExportedOp, ExportedRule } from "./exported-model.ts";

const tensors = {
  model:
    "JSON. nodes are in order, input and other are nodes by their place, tensors names what of this file a node takes; the logits are the map of node `output`",
  floats: "F32 in PyTorch's axis order: convolutions [out][in][kh][kw], linear [out][in]",
  checksum: "crc32c (Castagnoli) of the bytes of all tensors, one behind the other",
  signs:
    "NAME.signs is U8 [out][kh][kw][bytes], bytes = 4 ceil(in/32): input channel i is bit i%8 of byte floor(i/8); 1 means -1, 0 means +1, tail bits are 0",
  input:
    "scale the picture, its ratio kept, to the least size that covers resize; cut the centre crop; put pad zero pixels around; then (v/255 - mean)/std of each channel",
} as const;

const planes =
  "NAME.planes.signs is U8 [planes][out][kh][kw][bytes], each plane as signs; B_m is plane m as -1 and +1, bit_m is 1 where B_m = -1";

/** What a convolution multiplies by, from its planes and c. */
const forms: Readonly<Record<WeightForm["kind"], string>> = {
  float: "its weight as it is; there are no planes",
  linear:
    "sum over m of c[m] * B_m; c is [planes] where scale is layer, [planes][out] where it is out (of the weight's own output channel)",
  ternary: "0 where bit_1 is 1, else c[0] where B_0 = +1 and -c[1] where B_0 = -1",
  table: "c[sum over m of bit_m * 2^m]; c is [2^planes] where scale is layer, [out][2^planes] where it is out",
};

/** What becomes of a map before a convolution of few bits. */
const rules: Readonly<Record<ExportedRule["kind"], string>> = {
  sign: "-1 where x < 0, else +1",
  bits: "round(clip(x, 0, 1) * (2^bits - 1)) / (2^bits - 1), ties to even",
  bases: "sum over j of scale[j] * A_j, with A_j = +1 where clip(x + shift[j], 0, 1) >= 1/2, else -1",
};

/** What a node makes of its input x. */
const ops: Readonly<Record<ExportedOp, string>> = {
  input: "the picture as `input` says",
  conv: "convolution with weight, without a bias, in groups where it has them: weights are [out][in/groups][kh][kw], group g of the outputs sees group g of the inputs",
  rbconv:
    "convolution of sign(x), -1 where x < 0 and else +1 (also of 0 and -0), with signs * c, broadcast over [out][in][kh][kw]; padding is 0, not a sign; groups as in conv, signs are rows of in/groups channels",
  qconv: "convolution of x with the weight of its form",
  quantise: "x by its rule",
  gamma: "x times c[channel], h[row] and w[column], of those that it has",
  inputscale: "x times the mean of |other| over its channels and the window, zeros padded and counted",
  batchnorm: "(x - mean) / sqrt(variance + epsilon) * weight + bias",
  activation: "prelu: x where x > 0, else x * weight[channel]; relu: max(x, 0); hardtanh: clip(x, -1, 1)",
  pool: "the window's maximum of what is inside, or its sum over kernel^2",
  globalpool: "the mean over height and width",
  linear: "weight times x, plus bias",
  add: "x + other",
};

function used<K extends string>(words: Readonly<Record<K, string>>, kinds: readonly K[]): Record<string, string> {
  return Object.fromEntries([...new Set(kinds)].map((kind) => [kind, words[kind]]));
}

/** Of a network that follows a target. */
const tracking =
  "node `output` has features of a crop of any side, [channels][h][w]. A target's crop of side `exemplar` is embedded once; of each frame crops of side `instance` are; the response of one is response.scale times the sum of products of the target's features, as a window at every place that holds it whole, with those of the crop: conv2d(crop, target) of one output. A place is stride pixels of the crop. A crop is square around the target, its side sqrt((w + p)(h + p)) with p = context (w + h), for the instance times instance / exemplar";

/** Of the ops, forms and rules that a network has. @param tracks whether it follows a target */
export function howToRead(nodes: readonly ExportedNode[], tracks = false) {
  const weights = nodes.flatMap((node) => (node.op === "qconv" ? [node.weight.kind] : []));
  const quantised = nodes.flatMap((node) => (node.op === "quantise" ? [node.rule.kind] : []));
  return {
    ...tensors,
    ...(tracks && { tracking }),
    ...(weights.length > 0 && { planes, weights: used(forms, weights) }),
    ...(quantised.length > 0 && { rules: used(rules, quantised) }),
    ops: used(
      ops,
      nodes.map(({ op }) => op),
    ),
  };
}

// Vectors of the data: a raw shard with its manifest, and samples as the network reads them.

import { encodeText } from "../../../shared/base/text.ts";
import { writeShard } from "../../../shared/data/shard-layout.ts";
import { heldDecoder } from "../../fixtures/decode-samples.ts";
import { normalised } from "../../fixtures/normalised.ts";
import { base64, hex } from "../text.ts";
import { augmentations } from "./draws.ts";
import { shard, vectorConfig, vectorDataset } from "./run.ts";

export function shards() {
  const dataset = vectorDataset();
  const bytes = shard();
  const held = new Map([[dataset.train.shards[0].sha256, bytes]]);
  const decoded = (data: Record<string, unknown>, phase: string, split: "train" | "test", sample: number) => {
    const config = vectorConfig({ data: { kind: "idx", ...data } });
    const round = { phase, epoch: 1, split };
    const { input, checksum } = heldDecoder(config, dataset)(round, [sample], held);
    const { image, label } = normalised(config, dataset, input);
    return { data, phase, epoch: 1, split, sample, label: label[0], checksum, image: base64(image) };
  };
  const format = { kind: "bytes", media: "image/png", targetBytes: 2, chunk: 2 } as const;
  const contents = ["first", "", "the third"];
  const chunks = writeShard({ format, shape: dataset.shape }, contents.length);
  contents.forEach((text, i) => {
    chunks.add({ content: encodeText(text), target: Uint8Array.of(i, 1) });
  });
  const { bytes: whole, sha256 } = chunks.take();
  const targets = contents.map((_, i) => hex(Uint8Array.of(i, 1)));
  return {
    chunks: { format, contents, targets, sha256, shard: hex(whole) },
    dataset,
    shard: base64(bytes),
    augmentations: augmentations(),
    samples: [decoded({}, "student", "train", 2), decoded({ pad: 1, augment: "crop-flip" }, "student", "train", 1)],
  };
}

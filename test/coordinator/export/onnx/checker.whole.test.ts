// What the standard's own checker says of ONNX files.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { OPSET, onnxBytes } from "../../../../coordinator/export/onnx/onnx-file.ts";
import { onnxModel } from "../../../../coordinator/export/onnx/onnx-model.ts";
import { onnxTracker } from "../../../../coordinator/export/onnx/onnx-tracker.ts";
import { weightKinds } from "../../../../coordinator/export/onnx/weights.ts";
import { readExported } from "../../../../shared/export/read-exported.ts";
import { checkOnnx } from "../../../fixtures/check-onnx.ts";
import { drawnExport, methodGraph } from "../../../fixtures/drawn-export.ts";
import { drawnTracker } from "../../../fixtures/drawn-tracker.ts";
import { everyMethod } from "../../../fixtures/every-method.ts";
import { scratchFolder } from "../../../fixtures/test-run.ts";
import { notOnLinux } from "../../../fixtures/test-tool.ts";

const model = { kind: "resnet", widths: [4, 8], blocks: [1, 1], stem: "imagenet" };

test.skipIf(notOnLinux)(
  "X24 onnx.checker finds nothing wrong with a file of any method, and reads what is said in it",
  async () => {
    const folder = await scratchFolder();
    const made = everyMethod.flatMap(([, method]) => {
      const exported = drawnExport(methodGraph(method, model, { h: 32, w: 32, c: 1 }), {
        method,
        classNames: Array.from({ length: 10 }, (_, i) => `class ${i}`),
      });
      return weightKinds.map((weights) => onnxModel(exported, weights));
    });
    const files = made.map((one, i) => ({ path: join(folder, `${i}.onnx`), bytes: onnxBytes(one) }));
    const trackers = weightKinds.map((weights) =>
      onnxTracker(readExported(drawnTracker({ method: { kind: "rbcn" } })), weights),
    );
    for (const [i, tracker] of trackers.entries()) {
      for (const part of ["backbone", "head"] as const) {
        files.push({ path: join(folder, `tracker-${i}-${part}.onnx`), bytes: onnxBytes(tracker[part]) });
      }
    }
    // It would say so.
    const [first] = made;
    const nodes = first!.graph.nodes.map((node) => (node.op === "Gemm" ? { ...node, op: "Gem" } : node));
    files.push({
      path: join(folder, "wrong.onnx"),
      bytes: onnxBytes({ ...first!, graph: { ...first!.graph, nodes } }),
    });
    for (const { path, bytes } of files) await writeFile(path, bytes);

    const seen = checkOnnx(files.map(({ path }) => path));
    expect(seen.at(-1)!.problem).toContain("Gem");
    for (const [i, { metadata, text }] of made.entries()) {
      expect(seen[i]).toMatchObject({
        problem: null,
        producer: "bitswarm 1.2.3",
        opset: { "": OPSET },
        metadata,
        text,
        inputs: [["image", ["batch", 1, 32, 32]]],
        outputs: [["logits", ["batch", 10]]],
      });
    }
    const sides = (name: string) => [`${name}Rows`, `${name}Columns`];
    for (const [i, { backbone, head }] of trackers.entries()) {
      const [first, second] = seen.slice(made.length + 2 * i);
      expect(first).toMatchObject({
        problem: null,
        metadata: backbone.metadata,
        inputs: [["crop", ["batch", 3, "height", "width"]]],
        outputs: [["features", ["batch", 8, "rows", "columns"]]],
      });
      expect(second).toMatchObject({
        problem: null,
        metadata: head.metadata,
        inputs: [
          ["exemplar", [1, 8, ...sides("exemplar")]],
          ["search", ["batch", 8, "rows", "columns"]],
        ],
        outputs: [["response", ["batch", 1, ...sides("response")]]],
      });
    }
  },
);

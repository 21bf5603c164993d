// Vectors of parameters on their way down: whole and changed, in every form of floats, as payloads and as frames.

import { sha256Hex } from "../../../shared/base/hash.ts";
import { rng } from "../../../shared/base/rng.ts";
import { type Manifest, sentEntries } from "../../../shared/model/manifest.ts";
import { encodeChunk } from "../../../shared/wire/chunk.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../../shared/wire/parameter-blob.ts";
import { encodeParameters } from "../../../shared/wire/parameter-frame.ts";
import type { FloatEncoding, WireForm } from "../../../shared/wire/parameter-set.ts";
import { encodeChange, encodeWhole, roundFloats } from "../../../shared/wire/parameter-update.ts";
import { advanceReplica } from "../../../shared/wire/replica.ts";
import { RiceWriter } from "../../../shared/wire/rice.ts";
import { base64, hex } from "../text.ts";
import { drawn, RUN_TAG } from "./run.ts";

const initial = { kind: "constant", value: 0 } as const;
/** Planes of two words a row with a tail, of one, and floats in more than one block of 256. */
const manifest: Manifest = {
  entries: [
    { name: "a", role: "latent", shape: [2, 3, 3, 40], initial, layer: "rbconv" },
    { name: "b", role: "float", shape: [300], initial, layer: "conv" },
    { name: "c", role: "latent", shape: [3, 1, 1, 5], initial, layer: "rbconv" },
    { name: "d", role: "float", shape: [4], initial, layer: "conv" },
  ],
};
const critics: Manifest = {
  entries: [
    { name: "e", role: "critic", shape: [300], initial, layer: "discriminator" },
    { name: "f", role: "critic", shape: [3], initial, layer: "discriminator" },
  ],
};
const sets = ["teacher", "student", "discriminators"];

function values(of: Manifest, moved: boolean): Parameters {
  return new Map(
    of.entries.map(({ name, role, shape }) => {
      const size = shape.reduce((a, b) => a * b);
      const before = drawn(`parameters/${name}`, size, 0.5);
      if (!moved) return [name, before];
      const draws = rng("vectors", "moves", name);
      return [
        name,
        before.map((value, i) => {
          if (role === "latent") return draws.below(16) === 0 ? -value : value;
          // Every value moves a little; one becomes −0, and one crosses zero.
          return i === 1 ? -0 : i === 2 ? -value : value * (1 + (draws.uniform() - 0.5) / 1000);
        }),
      ];
    }),
  );
}

function frames(
  form: WireForm,
  set: string,
  base: Uint8Array<ArrayBuffer>,
  next: Uint8Array<ArrayBuffer>,
  change: Uint8Array,
) {
  const hash = sha256Hex(next);
  const whole = encodeWhole(form, next);
  const frame = (of: string | null, body: Uint8Array) =>
    encodeParameters(RUN_TAG, sets, 7, { set, hash, base: of, body });
  const baseHash = sha256Hex(base);
  return {
    floats: form.floats,
    set,
    layout: [...form.layout.tensors.values()],
    blobBytes: form.layout.bytes,
    base: base64(base),
    baseHash,
    next: base64(next),
    nextHash: hash,
    whole: base64(whole),
    change: base64(change),
    wholeHeader: hex(frame(null, whole).subarray(0, 84)),
    changeHeader: hex(frame(baseHash, change).subarray(0, 116)),
  };
}

function plain(floats: FloatEncoding) {
  const sent = sentEntries(manifest);
  const form: WireForm = { layout: blobLayout(sent), floats };
  const [base, next] = [false, true].map((moved) => {
    const blob = encodeBlob(sent, form.layout, values(sent, moved));
    roundFloats(form, blob);
    return blob;
  });
  return frames(form, "student", base, next, encodeChange(form, base, next));
}

function replica() {
  const form: WireForm = { layout: blobLayout(critics), floats: "int8" };
  const base = encodeBlob(critics, form.layout, values(critics, false));
  const next = base.slice();
  const writer = new RiceWriter();
  const target = values(critics, true);
  for (const { name, offset, bytes } of form.layout.tensors.values()) {
    advanceReplica(writer, name, new Float32Array(next.buffer, offset, bytes / 4), target.get(name)!);
  }
  return frames(form, "discriminators", base, next, writer.finish());
}

export function parameters() {
  const values = Uint32Array.of(0, 3, 1, 0, 900, 2, 5000000);
  const one = new RiceWriter();
  one.block(values, values.length);
  const none = new RiceWriter();
  none.block(new Uint32Array(9), 9);
  // The frame's bytes are i % 251: what of them travels in the second chunk.
  const frame = Uint8Array.from({ length: (256 << 10) + 100 }, (_, i) => i % 251);
  return {
    run: RUN_TAG,
    round: 7,
    sets,
    rice: [
      { values: [...values], bytes: hex(one.finish()) },
      { values: Array(9).fill(0), bytes: hex(none.finish()) },
    ],
    forms: [plain("f32"), plain("f16"), replica()],
    chunk: { transfer: 5, frameBytes: frame.length, index: 1, message: hex(encodeChunk(5, frame, 1)) },
  };
}

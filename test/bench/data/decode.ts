// Images a second and core from JPEG to what a network sees, beside Pillow, which takes turns with ours: by what each
// computed, since other programs may have the cores.

import { createHash } from "node:crypto";
import { readJpegModule } from "../../../coordinator/base/jpeg-module.ts";
import { rng } from "../../../shared/base/rng.ts";
import { CROP_AREA } from "../../../shared/image/crops.ts";
import { createJpegDecoder, type JpegDecoder } from "../../../shared/image/jpeg.ts";
import { readJpegFrame } from "../../../shared/image/jpeg-header.ts";
import { drawView, type View } from "../../../shared/image/view.ts";
import type { Emit } from "../line.ts";
import { median, pairedRatio, rounded } from "../statistics.ts";
import { type MosaicOptions, mosaics } from "./mosaics.ts";
import { type Pillow, startPillow } from "./pillow.ts";

const SIZE = 224;
const PICTURES = 32;
/** Turns before measuring: engines compile what runs often. */
const WARM = 4;

interface Case {
  readonly name: string;
  readonly options: MosaicOptions;
}

const cases: readonly Case[] = [
  { name: "500×375, q 92, 4:2:0", options: { quality: 92, chromaSubsampling: "4:2:0" } },
  {
    name: "341×256, q 90, 4:2:0, as stores have them",
    options: { quality: 90, chromaSubsampling: "4:2:0", short: 256 },
  },
];

interface Picture {
  readonly jpeg: Uint8Array;
  readonly view: View;
}

interface Turn {
  readonly cpuMs: number;
  readonly ms: number;
  readonly decodeMs: number;
}

function viewsOf(jpegs: readonly Uint8Array[]): readonly Picture[] {
  const options = { size: SIZE, resize: 256, augment: "random-resized-crop", area: CROP_AREA } as const;
  return jpegs.map((jpeg, i) => {
    const { width, height } = readJpegFrame(jpeg);
    return { jpeg, view: drawView(options, width, height, rng("bench", i)) };
  });
}

function ourTurn(decoder: JpegDecoder, pictures: readonly Picture[], into: readonly Uint8Array[]): Turn {
  const cpu = process.cpuUsage();
  const begin = performance.now();
  let decodeMs = 0;
  for (const [i, { jpeg, view }] of pictures.entries()) {
    const before = performance.now();
    const viewOf = () => {
      decodeMs += performance.now() - before;
      return view;
    };
    decoder.see(jpeg, viewOf, into[i]!);
  }
  const ms = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  return { cpuMs: (user + system) / 1000, ms, decodeMs };
}

const asPillow = ({ jpeg, view: { box, flip } }: Picture) => ({
  jpeg: Buffer.from(jpeg).toString("base64"),
  box: [box.x, box.y, box.x + box.w, box.y + box.h] as const,
  flip,
});

async function measure({ name, options }: Case, rounds: number, emit: Emit): Promise<void> {
  const pictures = viewsOf(await mosaics(PICTURES, options));
  const decoder = await createJpegDecoder(await readJpegModule());
  const into = pictures.map(() => new Uint8Array(3 * SIZE * SIZE));
  for (let i = 0; i < WARM; i++) ourTurn(decoder, pictures, into);
  const sha256 = createHash("sha256").update(Buffer.concat(into)).digest("hex");
  const pillow = await startPillow(SIZE, pictures.map(asPillow));
  const ours: Turn[] = [];
  const theirs: Awaited<ReturnType<Pillow["turn"]>>[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(ourTurn(decoder, pictures, into));
    if (pillow) theirs.push(await pillow.turn());
  }
  pillow?.end();
  const each = (of: readonly { readonly cpuMs: number }[]) => median(of.map(({ cpuMs }) => cpuMs)) / PICTURES;
  await emit({
    record: "images",
    name: `decode, random crop to ${SIZE}: ${name}`,
    perSecond: rounded(1000 / each(ours), 3),
    coreMs: rounded(each(ours), 3),
    ms: rounded(median(ours.map(({ ms }) => ms)) / PICTURES, 3),
    parts: { decode: rounded(median(ours.map(({ decodeMs, ms }) => decodeMs / ms)), 2) },
    ...(pillow && {
      beside: pillow.version,
      theirs: rounded(1000 / each(theirs), 3),
      ratio: rounded(
        pairedRatio(
          theirs.map(({ cpuMs }) => cpuMs),
          ours.map(({ cpuMs }) => cpuMs),
        ),
        3,
      ),
      sameBytes: theirs.every((turn) => turn.sha256 === sha256),
    }),
  });
  if (pillow === undefined)
    await emit({
      record: "note",
      text: "no Python with Pillow was found, so nothing is compared (Debian: python3-pil)",
    });
}

export async function benchDecode(rounds: number, emit: Emit): Promise<void> {
  for (const each of cases) await measure(each, rounds, emit);
}

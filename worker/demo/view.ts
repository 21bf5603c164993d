// What the demo shows: the field for a picture, what each network makes of it, and where the bits are.

import { h } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { seenPixels } from "../../shared/export/see-picture.ts";
import type { RgbImage } from "../../shared/image/resize.ts";
import { rgbOf } from "../inference/picture.ts";
import { countBits, type LayerBits, layersOfBits, signPicture } from "./bits.ts";
import { Camera } from "./camera.ts";
import { DrawingPad, PAD_SIDE } from "./drawing-pad.ts";
import { type Answer, askNetwork, type Demo, type DemoNetwork } from "./networks.ts";
import { drawnBox, drawnShare, fitted, looksSwapped, rgbaOf, swapped } from "./picture.ts";
import { typicalMs } from "./times.ts";
import { answerText, bitsText, percent, pictureText, scoreText, sizeText, timeText } from "./words.ts";

const icon = new URL("../../shared/page/icon.svg", import.meta.url).href;

/** Where a picture comes from. */
const sources = { draw: "Draw", file: "A picture", camera: "Camera" } as const;
type Source = keyof typeof sources;

/** Times of a network that count: the newest. */
const MOST_TIMES = 15;
/** Layers whose signs are shown. */
const SHOWN_LAYERS = 2;

/** A picture to be asked about, and whether light and dark are swapped in it. */
interface Asked {
  readonly image: RgbImage;
  readonly swap: boolean;
}

interface Asking {
  /** A network's answers, in the order of the networks; empty while there is no picture. */
  readonly answers: readonly Answer[];
  /** What the first network saw. */
  readonly seen: Uint8Array | undefined;
  readonly ask: (asked: Asked | undefined) => void;
}

/** Asks the networks about the newest picture; those that came while one was in hand are left out. */
function useAsking({ networks }: Demo): Asking {
  const [shown, setShown] = useState<Omit<Asking, "ask">>({ answers: [], seen: undefined });
  const next = useRef<{ readonly asked: Asked | undefined }>(undefined);
  const busy = useRef(false);
  const work = async () => {
    if (busy.current) return;
    busy.current = true;
    while (next.current !== undefined) {
      const { asked } = next.current;
      next.current = undefined;
      if (asked === undefined) {
        setShown({ answers: [], seen: undefined });
        continue;
      }
      const seen = networks.map(({ exported: { input } }) => {
        const pixels = seenPixels(input, asked.image);
        return asked.swap && input.c === 1 ? swapped(pixels) : pixels;
      });
      const answers: Answer[] = [];
      for (const [i, network] of networks.entries()) {
        answers.push(await askNetwork(network, seen[i], () => performance.now()));
      }
      setShown({ answers, seen: seen[0] });
    }
    busy.current = false;
  };
  const ask = (asked: Asked | undefined) => {
    next.current = { asked };
    void work();
  };
  return { ...shown, ask };
}

/** A drawing as the data set has its pictures: in the middle, as large as they are. */
function drawnImage(pad: HTMLCanvasElement, network: DemoNetwork): RgbImage | undefined {
  const { data } = pad.getContext("2d", { willReadFrequently: true })!.getImageData(0, 0, PAD_SIDE, PAD_SIDE);
  const grey = Uint8Array.from({ length: PAD_SIDE ** 2 }, (_, i) => data[4 * i]);
  const from = drawnBox({ data: grey, width: PAD_SIDE, height: PAD_SIDE });
  if (from === undefined) return undefined;
  const canvas = new OffscreenCanvas(PAD_SIDE, PAD_SIDE);
  const context = canvas.getContext("2d")!;
  const to = fitted(from, PAD_SIDE, drawnShare(network.model.info.labels));
  context.fillRect(0, 0, PAD_SIDE, PAD_SIDE);
  context.drawImage(pad, from.x, from.y, from.w, from.h, to.x, to.y, to.w, to.h);
  return rgbOf(canvas);
}

/** Whether the picture, as the network sees it, looks swapped. */
function swapOf({ exported: { input } }: DemoNetwork, image: RgbImage): boolean {
  if (input.c !== 1) return false;
  return looksSwapped({ data: seenPixels(input, image), width: input.w, height: input.h }, input.mean[0]);
}

interface PixelsProps {
  readonly id: string;
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8ClampedArray<ArrayBuffer>;
  readonly label: string;
}

/** Pixels, each as large as the style makes it. */
function Pixels({ id, width, height, rgba, label }: PixelsProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    canvas.current?.getContext("2d")?.putImageData(new ImageData(rgba, width, height), 0, 0);
  }, [rgba, width, height]);
  return h("canvas", { id, class: "pixels", ref: canvas, width, height, role: "img", "aria-label": label });
}

function Head({ demo }: { readonly demo: Demo }) {
  const { provenance } = demo.networks[0].exported;
  return h(
    "header",
    {},
    h("p", { class: "brand" }, h("img", { src: icon, alt: "", width: 28, height: 28 }), "bitswarm"),
    h("h1", {}, "Try what was trained"),
    h(
      "p",
      { class: "quiet" },
      `${demo.title}: ${provenance.step.toLocaleString("en")} steps on ${provenance.dataset.trainSamples.toLocaleString("en")} pictures of ${provenance.dataset.name}, computed by volunteers. Here it runs in your browser alone, and your picture goes nowhere.`,
    ),
  );
}

interface PictureProps {
  readonly first: DemoNetwork;
  readonly seen: Uint8Array | undefined;
  readonly ask: (asked: Asked | undefined) => void;
}

function PictureCard({ first, seen, ask }: PictureProps) {
  const { input } = first.exported;
  const [source, setSource] = useState<Source>("draw");
  const [swap, setSwap] = useState(false);
  const [trouble, setTrouble] = useState<string>();
  const image = useRef<RgbImage>(undefined);
  /** Whether the person has said so; until then each picture is looked at. */
  const swapChosen = useRef<boolean>(undefined);

  const choose = (chosen: Source) => {
    image.current = undefined;
    swapChosen.current = undefined;
    setTrouble(undefined);
    setSource(chosen);
    ask(undefined);
  };
  const drawn = (pad: HTMLCanvasElement) => {
    const found = drawnImage(pad, first);
    ask(found && { image: found, swap: false });
  };
  const photographed = (taken: RgbImage) => {
    image.current = taken;
    const wanted = swapChosen.current ?? swapOf(first, taken);
    setSwap(wanted);
    ask({ image: taken, swap: wanted });
  };
  const opened = async (file: File | undefined) => {
    if (!file) return;
    setTrouble(undefined);
    swapChosen.current = undefined;
    try {
      photographed(rgbOf(await createImageBitmap(file)));
    } catch {
      image.current = undefined;
      ask(undefined);
      setTrouble(`${file.name} is no picture that this browser can read; PNG, JPEG and WebP are.`);
    }
  };
  const choseSwap = (wanted: boolean) => {
    swapChosen.current = wanted;
    setSwap(wanted);
    if (image.current) ask({ image: image.current, swap: wanted });
  };

  return h(
    "section",
    { class: "card", "aria-labelledby": "picture-title" },
    h("h2", { id: "picture-title" }, "Your picture"),
    h(
      "fieldset",
      { class: "sources" },
      h("legend", {}, "From where"),
      (Object.keys(sources) as Source[]).map((kind) =>
        h(
          "label",
          { key: kind },
          h("input", {
            type: "radio",
            name: "source",
            value: kind,
            checked: source === kind,
            onChange: () => choose(kind),
          }),
          sources[kind],
        ),
      ),
    ),
    source === "draw" ? h(DrawingPad, { onChange: drawn }) : null,
    source === "file"
      ? h(
          "p",
          { class: "choosing" },
          h("label", { for: "file" }, "A file with a picture"),
          h("input", {
            id: "file",
            type: "file",
            accept: "image/*",
            onChange: (event: Event) => void opened((event.target as HTMLInputElement).files?.[0]),
          }),
        )
      : null,
    source === "camera" ? h(Camera, { onLook: (video) => photographed(rgbOf(video)) }) : null,
    trouble === undefined ? null : h("p", { class: "trouble", role: "alert" }, trouble),
    source !== "draw" && input.c === 1
      ? h(
          "label",
          { class: "tick" },
          h("input", {
            id: "swap",
            type: "checkbox",
            checked: swap,
            onChange: (event: Event) => choseSwap((event.target as HTMLInputElement).checked),
          }),
          "Swap light and dark: the network has learned from pictures on black",
        )
      : null,
    seen === undefined
      ? h("p", { id: "seen-none", class: "quiet" }, "What the network sees of it will stand here.")
      : h(
          "figure",
          { class: "seen" },
          h(Pixels, {
            id: "seen",
            width: input.w,
            height: input.h,
            rgba: rgbaOf(seen, input.c),
            label: `Your picture as the network sees it, ${input.w} by ${input.h} pixels`,
          }),
          h("figcaption", { class: "quiet" }, `What the network sees: ${input.w} × ${input.h} pixels`),
        ),
  );
}

interface NetworkProps {
  readonly network: DemoNetwork;
  readonly answer: Answer | undefined;
}

function NetworkCard({ network, answer }: NetworkProps) {
  const { exported, model } = network;
  const { name, title } = exported.network;
  const times = useRef<number[]>([]);
  if (answer !== undefined && times.current.at(-1) !== answer.ms) {
    times.current = [...times.current, answer.ms].slice(-MOST_TIMES);
  }
  const predictions = answer?.predictions ?? [];
  const on = model.info.backend === "webgpu" ? "on the GPU" : "on the processor";
  return h(
    "section",
    { id: `network-${name}`, class: "card network", "aria-labelledby": `title-${name}` },
    h("h2", { id: `title-${name}` }, title),
    h("p", { class: "answer", role: "status" }, answerText(predictions)),
    h(
      "ul",
      { class: "bars" },
      predictions.map(({ label, index, probability }) =>
        h(
          "li",
          { key: index },
          h("span", { class: "label" }, label),
          h("progress", { max: 1, value: probability, "aria-label": label }),
          h("span", { class: "share" }, percent(probability)),
        ),
      ),
    ),
    h(
      "dl",
      { class: "facts" },
      fact("Size", sizeText(exported)),
      fact("A picture takes", answer === undefined ? "–" : `${timeText(typicalMs(times.current))} ${on}`),
      fact("On pictures it never saw", scoreText(model.info.score)),
    ),
  );
}

function fact(name: string, value: string) {
  return h("div", { key: name }, h("dt", {}, name), h("dd", {}, value));
}

function Layer({ network, layer }: { readonly network: DemoNetwork; readonly layer: LayerBits }) {
  const picture = useMemo(() => signPicture(network.exported, layer), [network, layer]);
  // +1, −1, and nothing between windows.
  const shades = [
    [34, 48, 74],
    [255, 214, 130],
    [128, 138, 154],
  ];
  const rgba = useMemo(
    () => rgbaOf(Uint8Array.from([...picture.pixels].flatMap((kind) => shades[kind === 2 ? 2 : kind])), 3),
    [picture],
  );
  const text = pictureText(layer, picture);
  return h(
    "figure",
    { class: "layer" },
    h(Pixels, {
      id: `signs-${layer.name}`,
      width: picture.width,
      height: picture.height,
      rgba,
      label: `Signs of ${text}`,
    }),
    h("figcaption", { class: "quiet" }, text),
  );
}

function BitsCard({ network }: { readonly network: DemoNetwork }) {
  const layers = useMemo(() => layersOfBits(network.exported), [network]);
  return h(
    "section",
    { class: "card", "aria-labelledby": "bits-title" },
    h("h2", { id: "bits-title" }, "Where the bits are"),
    h("p", {}, bitsText(countBits(network.exported))),
    h(
      "div",
      { class: "layers" },
      layers.slice(0, SHOWN_LAYERS).map((layer) => h(Layer, { key: layer.name, network, layer })),
    ),
  );
}

export function DemoView({ demo }: { readonly demo: Demo }) {
  const { answers, seen, ask } = useAsking(demo);
  const [first] = demo.networks;
  return [
    h(Head, { demo }),
    h(
      "div",
      { class: "try" },
      h(PictureCard, { first, seen, ask }),
      h(
        "div",
        { class: "networks" },
        demo.networks.map((network, i) =>
          h(NetworkCard, { key: network.exported.network.name, network, answer: answers[i] }),
        ),
      ),
    ),
    h(BitsCard, { network: first }),
  ];
}

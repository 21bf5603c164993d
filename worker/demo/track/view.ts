// What the page shows: the picture with its boxes, and of each network what it answers, how fast it is and how large.

import { h } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { typicalMs } from "../times.ts";
import { sizeText, timeText } from "../words.ts";
import type { TrackDemo, TrackNetwork } from "./files.ts";
import { heatMaps } from "./heat.ts";
import type { Found } from "./messages.ts";
import { Pursuit, type Shown, type ShownNetwork } from "./pursuit.ts";
import { NoPicture, openCamera, openFilm, type Source, type SourceKind } from "./sources.ts";
import { drawStage, Stage } from "./stage.ts";
import { boxText, paceText, phaseText, scaleName, sureText } from "./words.ts";

const icon = new URL("../../../shared/page/icon.svg", import.meta.url).href;

/** Sizes that a tracker looks at. */
const SCALES = 3;
/** Times of a network that count: the newest. */
const MOST_TIMES = 15;

const sources: Readonly<Record<SourceKind, string>> = { file: "A film from a file", camera: "The camera" };

function Head({ demo }: { readonly demo: TrackDemo }) {
  const { provenance } = demo.networks[0].exported;
  return h(
    "header",
    {},
    h("p", { class: "brand" }, h("img", { src: icon, alt: "", width: 28, height: 28 }), "bitswarm"),
    h("h1", {}, "Follow something"),
    h(
      "p",
      { class: "quiet" },
      `${demo.title}: ${provenance.step.toLocaleString("en")} steps on ${provenance.dataset.name}, computed by volunteers. Here it runs on your own device alone, and your pictures go nowhere.`,
    ),
  );
}

interface MapProps {
  readonly found: Found | undefined;
  readonly scale: number;
  readonly network: string;
}

/** What one size of the picture answers. */
function ResponseMap({ found, scale, network }: MapProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const { width, height } = context.canvas;
    const rgba = found && heatMaps(found.responses, SCALES)[scale];
    if (rgba && found.side === width) context.putImageData(new ImageData(rgba, width, height), 0, 0);
    else context.clearRect(0, 0, width, height);
  }, [found, scale]);
  const side = found?.side ?? 17;
  const name = scaleName(scale, SCALES);
  return h(
    "figure",
    { class: found?.scale === scale ? "map best" : "map" },
    h("canvas", {
      ref: canvas,
      class: "pixels",
      width: side,
      height: side,
      role: "img",
      "aria-label": `What the ${network} answers, ${name}${found?.scale === scale ? ", the best of the three" : ""}`,
    }),
    h("figcaption", { class: "quiet" }, name),
  );
}

function fact(name: string, value: string) {
  return h("div", { key: name }, h("dt", {}, name), h("dd", {}, value));
}

interface NetworkProps {
  readonly network: TrackNetwork;
  readonly place: number;
  readonly shown: ShownNetwork;
  readonly last: boolean;
  readonly onTurn: (on: boolean) => void;
}

function NetworkCard({ network, place, shown, last, onTurn }: NetworkProps) {
  const { exported, backend } = network;
  const { name, title } = exported.network;
  const { found, share, lost, on } = shown;
  const times = useRef<number[]>([]);
  if (found === undefined) times.current = [];
  else if (times.current.at(-1) !== found.ms) times.current = [...times.current, found.ms].slice(-MOST_TIMES);
  const ms = typicalMs(times.current);
  const where = backend === "webgpu" ? "on the GPU" : "on the processor";
  return h(
    "section",
    { id: `network-${name}`, class: "card network", "aria-labelledby": `title-${name}` },
    h(
      "h2",
      { id: `title-${name}` },
      h("span", { class: `line line-${place}`, "aria-hidden": "true" }),
      h("span", { class: "title" }, title),
    ),
    h(
      "label",
      { class: "tick" },
      h("input", {
        type: "checkbox",
        checked: on,
        disabled: on && last,
        onChange: (event: Event) => onTurn((event.target as HTMLInputElement).checked),
      }),
      "Follow with this network",
    ),
    h(
      "div",
      { class: "maps" },
      Array.from({ length: SCALES }, (_, scale) => h(ResponseMap, { key: scale, found, scale, network: title })),
    ),
    h(
      "dl",
      { class: "facts" },
      fact("Size", sizeText(exported)),
      fact("A frame takes", ms === undefined ? "–" : `${timeText(ms)} ${where}`),
      fact("Sure of it", sureText(share, lost)),
      fact("Where", boxText(found?.box)),
    ),
  );
}

interface SourceProps {
  readonly pursuit: Pursuit;
  readonly kind: SourceKind | undefined;
  /** Whether it gives nothing. */
  readonly failed: boolean;
  readonly onKind: (kind: SourceKind) => void;
}

function SourceChoice({ pursuit, kind, failed, onKind }: SourceProps) {
  /** Whatever is opening when another is chosen is closed again. */
  const opening = useRef(0);
  const open = async (make: () => Promise<Source>) => {
    const own = ++opening.current;
    try {
      const source = await make();
      if (own === opening.current) pursuit.open(source);
      else source.close();
    } catch (error) {
      if (own !== opening.current) return;
      if (!(error instanceof NoPicture)) console.error(error);
      pursuit.close(error instanceof NoPicture ? error.message : "something unexpected went wrong");
    }
  };
  const choose = (chosen: SourceKind) => {
    opening.current++;
    pursuit.close();
    onKind(chosen);
    if (chosen === "camera") void open(openCamera);
  };
  return [
    h(
      "fieldset",
      { class: "sources" },
      h("legend", {}, "From where"),
      (Object.keys(sources) as SourceKind[]).map((one) =>
        h(
          "label",
          { key: one },
          h("input", { type: "radio", name: "source", value: one, checked: kind === one, onChange: () => choose(one) }),
          sources[one],
        ),
      ),
    ),
    kind === "file"
      ? h(
          "p",
          { class: "choosing" },
          h("label", { for: "file" }, "A film"),
          h("input", {
            id: "file",
            type: "file",
            accept: "video/*",
            onChange: (event: Event) => {
              const file = (event.target as HTMLInputElement).files?.[0];
              if (file) void open(() => openFilm(file));
            },
          }),
        )
      : null,
    kind === "camera" && failed
      ? h(
          "p",
          {},
          h("button", { id: "again", type: "button", onClick: () => choose("camera") }, "Try the camera again"),
        )
      : null,
  ];
}

interface ControlsProps {
  readonly shown: Shown;
  readonly camera: boolean;
  readonly pursuit: Pursuit;
}

function Controls({ shown: { phase }, camera, pursuit }: ControlsProps) {
  const button = (id: string, text: string, onClick: () => void, disabled = false) =>
    h("button", { id, type: "button", onClick, disabled }, text);
  const there = phase !== "empty" && phase !== "aiming";
  return h(
    "p",
    { class: "controls" },
    phase === "paused"
      ? button("resume", "Go on", () => pursuit.resume())
      : button("pause", "Pause", () => pursuit.pause(), phase !== "following"),
    button("reset", "Another target", () => pursuit.reset(), !there),
    camera ? null : button("rewind", "From the beginning", () => pursuit.rewind(), phase === "empty"),
  );
}

export function TrackView({ demo }: { readonly demo: TrackDemo }) {
  const canvas = useRef<HTMLCanvasElement | null>(null);
  const [kind, setKind] = useState<SourceKind>();
  const [shown, setShown] = useState<Shown>();
  const held = useRef<Pursuit>(undefined);
  held.current ??= new Pursuit(
    demo.networks,
    ({ size, networks, aim }) => {
      if (canvas.current && size) {
        const boxes = networks.map(({ found }) => found?.box);
        drawStage(canvas.current, held.current!.grabber.canvas, size, boxes, aim);
      }
    },
    setShown,
  );
  const pursuit = held.current;
  useEffect(() => () => pursuit.dispose(), [pursuit]);
  // The same function each time, or the canvas would be given anew with every frame.
  const keep = useCallback((element: HTMLCanvasElement | null) => {
    canvas.current = element;
  }, []);
  const now = shown ?? pursuit.shown;
  const { phase, networks, trouble, size, aim, perSecond, rate } = now;
  const lost = networks.every((one) => !one.on || one.lost);
  const camera = kind === "camera";
  const on = networks.filter((one) => one.on).length;
  return [
    h(Head, { demo }),
    h(
      "div",
      { class: "try" },
      h(
        "section",
        { class: "card", "aria-labelledby": "picture-title" },
        h("h2", { id: "picture-title" }, "The picture"),
        h(SourceChoice, { pursuit, kind, failed: trouble !== undefined && phase === "empty", onKind: setKind }),
        trouble === undefined ? null : h("p", { id: "trouble", class: "trouble", role: "alert" }, trouble),
        h(Stage, {
          size,
          aim,
          onCanvas: keep,
          onAim: (box) => pursuit.aim(box),
          onFollow: () => void pursuit.follow(),
          onReset: () => pursuit.reset(),
          label: "The picture: choose here what is to be followed",
        }),
        h("p", { id: "phase", class: lost ? "phase lost" : "phase", role: "status" }, phaseText(phase, lost, camera)),
        h(
          "p",
          { id: "stage-help", class: "quiet" },
          "Drag with mouse, pen or finger; or press Enter on the picture, move the box with the arrow keys, change its size with Shift, and press Enter again. Escape takes it back.",
        ),
        h(Controls, { shown: now, camera, pursuit }),
        h("p", { id: "pace" }, paceText(perSecond, rate)),
      ),
      h(
        "div",
        { class: "networks" },
        demo.networks.map((network, place) =>
          h(NetworkCard, {
            key: network.exported.network.name,
            network,
            place,
            shown: networks[place]!,
            last: on === 1,
            onTurn: (wanted) => pursuit.turn(place, wanted),
          }),
        ),
      ),
    ),
  ];
}

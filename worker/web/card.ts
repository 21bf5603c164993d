// The card that a volunteer may keep: a picture of what was given, drawn here and sent nowhere.

import { rng } from "../../shared/base/rng.ts";

export const CARD_WIDTH = 1200;
export const CARD_HEIGHT = 630;

export interface CardText {
  /** Of the run. */
  readonly run: string;
  readonly nickname: string;
  /** "1,234 examples". */
  readonly given: string;
  /** One line below it. */
  readonly share: string;
  readonly date: string;
}

const CELL = 30;
const FONT = "system-ui, sans-serif";

/** What a 2D context is used for here; tests read what was drawn. */
export function drawCard(context: CanvasRenderingContext2D, text: CardText): void {
  context.fillStyle = "#12151a";
  context.fillRect(0, 0, CARD_WIDTH, CARD_HEIGHT);
  // Bits of a pattern that is this run's and this name's alone.
  const draws = rng("card", text.run, text.nickname);
  for (let x = CARD_WIDTH - 13 * CELL; x < CARD_WIDTH; x += CELL) {
    for (let y = 0; y < CARD_HEIGHT; y += CELL) {
      context.fillStyle = (draws.uint32() & 1) === 1 ? "#1f5fd6" : "#1b2b4a";
      context.fillRect(x + 2, y + 2, CELL - 4, CELL - 4);
    }
  }
  const line = (words: string, y: number, size: number, colour: string, weight = 400) => {
    context.fillStyle = colour;
    context.font = `${weight} ${size}px ${FONT}`;
    context.fillText(words, 60, y, CARD_WIDTH - 13 * CELL - 100);
  };
  line("bitswarm", 100, 34, "#9aa6b5", 650);
  line(text.nickname === "" ? "This GPU went through" : `${text.nickname} went through`, 220, 40, "#e8ecf1");
  line(text.given, 320, 84, "#ffffff", 700);
  line(`for ${text.run}`, 390, 40, "#e8ecf1");
  line(text.share, 470, 32, "#9aa6b5");
  line(text.date, 560, 28, "#9aa6b5");
}

/** The card as a PNG. */
export function cardImage(text: CardText): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = CARD_WIDTH;
  canvas.height = CARD_HEIGHT;
  const context = canvas.getContext("2d");
  if (!context) return Promise.reject(new Error("this browser draws no pictures"));
  drawCard(context, text);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("this browser makes no PNG"))), "image/png"),
  );
}

// What a file that should be a picture is, by its first bytes: names of files lie, ImageNet's too.

import { fileKind, HEAD_BYTES, kindInWords } from "../../disk/file-kind.ts";

/** Kinds of pictures that are read, as people call them. */
export type ImageKind = "JPEG" | "PNG" | "GIF" | "WebP" | "BMP" | "TIFF";

const signatures: readonly (readonly [text: string, kind: ImageKind])[] = [
  ["\xff\xd8", "JPEG"],
  ["\x89PNG\r\n\x1a\n", "PNG"],
  ["GIF8", "GIF"],
  ["BM", "BMP"],
  ["II*\0", "TIFF"],
  ["MM\0*", "TIFF"],
];

/** The kind of a picture; undefined for what is none that is read. */
export function imageKind(bytes: Uint8Array): ImageKind | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16)).toString("latin1");
  if (head.startsWith("RIFF") && head.slice(8, 12) === "WEBP") return "WebP";
  return signatures.find(([text]) => head.startsWith(text))?.[1];
}

/** What a file is that is no picture, for a sentence. */
export function inWords(bytes: Uint8Array): string {
  if (bytes.length === 0) return "it has no bytes";
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, HEAD_BYTES));
  if (head.every((byte) => byte === 0)) return "it is full of zeros";
  const kind = fileKind(head);
  return kind === undefined ? "it is no picture of a kind that is read" : `it is ${kindInWords(kind)}, no picture`;
}

// What a JPEG says of itself without being decoded: its size before memory is taken for it, how it is coded, and
// whether its end is there (ITU-T T.81, Annex B).

import { BitswarmError } from "../base/errors.ts";
import { exifOrientation, type Orientation } from "./upright.ts";

/**
 * Pixels of the largest picture that is decoded: the largest of ImageNet has 61 million; the 192 MiB of its RGB and the
 * 384 of a progressive one's coefficients are within what a 32-bit memory holds.
 */
export const MAX_JPEG_PIXELS = 64 * 2 ** 20;

/** How a frame is coded, by the low bits of its marker. */
export type JpegProcess = "baseline" | "extended" | "progressive" | "lossless" | "hierarchical";

/** The frame header. */
export interface JpegFrame {
  readonly width: number;
  readonly height: number;
  /** Bits of a sample. */
  readonly precision: number;
  readonly process: JpegProcess;
  readonly arithmetic: boolean;
  /** Of each component, how often it is sampled across and down, in relation to the others. */
  readonly sampling: readonly (readonly [across: number, down: number])[];
}

export interface JpegFacts extends JpegFrame {
  readonly components: number;
  /** Of an Adobe marker: 0 no transform (RGB or CMYK), 1 YCbCr, 2 YCCK. */
  readonly adobeTransform?: number;
  /** Bytes of comments and of application data other than JFIF's and Adobe's: EXIF, profiles, thumbnails. */
  readonly metadataBytes: number;
  readonly scans: number;
  readonly restartInterval: number;
  /** Whether the marker that ends a picture is there. */
  readonly complete: boolean;
  /** Bytes after that marker. */
  readonly trailingBytes: number;
  /** Bytes between segments that belong to none. */
  readonly strayBytes: number;
}

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const DRI = 0xdd;
const COM = 0xfe;
const APP0 = 0xe0;
const APP1 = 0xe1;
const APP14 = 0xee;
const APP15 = 0xef;

interface Segment {
  readonly marker: number;
  /** Of the 0xFF before the marker. */
  readonly begin: number;
  /** What follows the length, or nothing where the marker has no length. */
  readonly body: Uint8Array;
  /** Of the first byte after it. */
  readonly end: number;
  /** Bytes before `begin` that belong to nothing. */
  readonly stray: number;
}

/** @param why such that "a JPEG that …" reads well */
export function badJpeg(why: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", `the image is not a JPEG that can be read: ${why}`);
}

/** What a file of another kind begins with, told by name where it is one that people have. */
function beginning(bytes: Uint8Array): string {
  const first = bytes.subarray(0, 12);
  const text = Array.from(first, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
  const hex = Array.from(first.subarray(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return `${hex} (${text})`;
}

/** Restart markers and TEM have no length. */
const hasLength = (marker: number) => !(marker === 0x01 || (marker >= 0xd0 && marker <= EOI));
const isFrame = (marker: number) =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;

/** Of the 0xFF of the next marker that is no fill byte, no stuffed byte and no restart; the length if there is none. */
function nextMarker(bytes: Uint8Array, from: number, inScan: boolean): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0 && at + 1 < bytes.length; at = bytes.indexOf(0xff, at + 1)) {
    const marker = bytes[at + 1]!;
    if (marker === 0xff || marker === 0x00) continue;
    if (inScan && marker >= 0xd0 && marker <= 0xd7) continue;
    return at;
  }
  return bytes.length;
}

/** The segments up to the picture's end, or up to the file's where that comes first. */
function* segments(bytes: Uint8Array): Generator<Segment> {
  if (bytes.length === 0) throw badJpeg("it has no bytes");
  if (bytes[0] !== 0xff || bytes[1] !== SOI) throw badJpeg(`it begins with ${beginning(bytes)}, a JPEG with ff d8 ff`);
  let after = 2;
  let inScan = false;
  for (;;) {
    const begin = nextMarker(bytes, after, inScan);
    if (begin === bytes.length) return;
    // Fill bytes before a marker are the marker's.
    let first = begin;
    while (!inScan && first > after && bytes[first - 1] === 0xff) first -= 1;
    const stray = inScan ? 0 : first - after;
    const marker = bytes[begin + 1]!;
    let end = begin + 2;
    let body = bytes.subarray(end, end);
    if (hasLength(marker)) {
      if (end + 2 > bytes.length) return;
      const length = (bytes[end]! << 8) | bytes[end + 1]!;
      if (length < 2) throw badJpeg(`segment ff ${marker.toString(16)} at byte ${begin} has a length of ${length}`);
      body = bytes.subarray(end + 2, end + length);
      end += length;
      if (end > bytes.length) return;
    }
    yield { marker, begin, body, end, stray };
    if (marker === EOI) return;
    inScan = marker === SOS;
    after = end;
  }
}

function processOf(marker: number): JpegProcess {
  if ((marker & 0x04) !== 0) return "hierarchical";
  return (["baseline", "extended", "progressive", "lossless"] as const)[marker & 0x03]!;
}

function readFrame(marker: number, body: Uint8Array): JpegFrame {
  const components = body[5] ?? 0;
  if (body.length < 6 + 3 * components) throw badJpeg(`its frame header has ${body.length} bytes`);
  const height = (body[1]! << 8) | body[2]!;
  const width = (body[3]! << 8) | body[4]!;
  if (width === 0 || height === 0) throw badJpeg(`its header says ${width} × ${height} pixels`);
  if (components === 0) throw badJpeg("its header says that it has no components");
  return {
    width,
    height,
    precision: body[0]!,
    process: processOf(marker),
    arithmetic: marker >= 0xc9,
    sampling: Array.from({ length: components }, (_, i) => {
      const factors = body[7 + 3 * i]!;
      return [factors >> 4, factors & 15] as const;
    }),
  };
}

const NO_FRAME = "it has no frame header, which says how large it is: it ends too early";

/** The frame header alone; reads no further. @throws DATA_INVALID */
export function readJpegFrame(bytes: Uint8Array): JpegFrame {
  for (const { marker, body } of segments(bytes)) {
    if (isFrame(marker)) return readFrame(marker, body);
    if (marker === SOS || marker === EOI) break;
  }
  throw badJpeg(NO_FRAME);
}

const startsWith = (body: Uint8Array, text: string) =>
  body.length >= text.length && Array.from(text).every((letter, i) => body[i] === letter.charCodeAt(0));
const isJfif = ({ marker, body }: Segment) => marker === APP0 && startsWith(body, "JFIF\0");
const isAdobe = ({ marker, body }: Segment) => marker === APP14 && body.length >= 12 && startsWith(body, "Adobe");
/** What may say something of the picture's, but nothing of its pixels. */
const isMetadata = (segment: Segment) =>
  segment.marker === COM ||
  (segment.marker >= APP0 && segment.marker <= APP15 && !isJfif(segment) && !isAdobe(segment));

const EXIF = "Exif\0\0";

/** How the picture is to be turned, by its EXIF; as it is where there is none. @throws DATA_INVALID for no JPEG */
export function jpegOrientation(bytes: Uint8Array): Orientation {
  for (const { marker, body } of segments(bytes)) {
    if (marker === APP1 && startsWith(body, EXIF)) return exifOrientation(body.subarray(EXIF.length));
    if (marker === SOS || marker === EOI) break;
  }
  return 1;
}

/**
 * What the file says of itself. It decodes nothing: that the picture's data are whole, only decoding shows.
 * @throws DATA_INVALID where it is no JPEG, or ends before its header does
 */
export function inspectJpeg(bytes: Uint8Array): JpegFacts {
  let frame: JpegFrame | undefined;
  let adobeTransform: number | undefined;
  let metadataBytes = 0;
  let scans = 0;
  let restartInterval = 0;
  let strayBytes = 0;
  let endOfPicture: number | undefined;
  for (const segment of segments(bytes)) {
    const { marker, begin, body, end, stray } = segment;
    strayBytes += stray;
    if (isFrame(marker)) frame ??= readFrame(marker, body);
    else if (marker === SOS) scans += 1;
    else if (marker === DRI && body.length >= 2) restartInterval = (body[0]! << 8) | body[1]!;
    else if (marker === EOI) endOfPicture = end;
    else if (isAdobe(segment)) adobeTransform = body[11]!;
    else if (isMetadata(segment)) metadataBytes += end - begin;
  }
  if (frame === undefined) throw badJpeg(NO_FRAME);
  return {
    ...frame,
    components: frame.sampling.length,
    ...(adobeTransform !== undefined && { adobeTransform }),
    metadataBytes,
    scans,
    restartInterval,
    complete: endOfPicture !== undefined,
    trailingBytes: endOfPicture === undefined ? 0 : bytes.length - endOfPicture,
    strayBytes,
  };
}

/**
 * The same picture, bit by bit, without comments, EXIF, profiles, stray bytes and what comes after its end.
 * @throws DATA_INVALID where it is no JPEG
 */
export function withoutMetadata(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const kept = new Uint8Array(bytes.length);
  kept.set(bytes.subarray(0, 2));
  let length = 2;
  const keep = (begin: number, end: number) => {
    kept.set(bytes.subarray(begin, end), length);
    length += end - begin;
  };
  let scanFrom: number | undefined;
  let ended = false;
  for (const segment of segments(bytes)) {
    if (scanFrom !== undefined) keep(scanFrom, segment.begin);
    if (!isMetadata(segment)) keep(segment.begin, segment.end);
    scanFrom = segment.marker === SOS ? segment.end : undefined;
    ended = segment.marker === EOI;
  }
  if (scanFrom !== undefined && !ended) keep(scanFrom, bytes.length);
  return kept.slice(0, length);
}

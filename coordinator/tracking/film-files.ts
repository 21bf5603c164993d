// A film's frames as they are served: files by their SHA-256, and nothing else. What is no JPEG travels decoded.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { BitswarmError } from "../../shared/base/errors.ts";
import { inspectJpeg } from "../../shared/image/jpeg-header.ts";
import { writePpm } from "../../shared/image/ppm.ts";
import { HASH_BYTES } from "../../shared/wire/tracking.ts";
import { storageError } from "../disk/storage-error.ts";
import { type StoredBytes, StoredFile } from "../disk/stored-file.ts";
import { type DecodePicture, pictureDecoder } from "../import/convert/decode-picture.ts";
import { imageKind } from "../import/convert/image-kind.ts";
import { requireSize } from "../sequences/sequence.ts";
import type { PreparedFilm } from "./film-job.ts";
import type { FilmSource } from "./films.ts";

/** Of one frame's file. */
export const MOST_FRAME_BYTES = 64 << 20;

interface ServedFrame {
  readonly path: string;
  readonly bytes: number;
  readonly decoded: boolean;
}

const named = (name: string, frame: number, file: string) => `${name}: frame ${frame + 1} (${file})`;

export class FilmFiles {
  readonly #served = new Map<string, ServedFrame>();
  #decode: Promise<DecodePicture> | undefined;

  /**
   * Reads every frame once, and serves it from then on.
   * @throws DATA_MISSING for a frame that is not there; DATA_INVALID for one that is no picture, or of another size
   */
  async prepare(film: FilmSource): Promise<PreparedFilm> {
    const { name, box, frames } = film;
    const hashes = new Uint8Array(frames.length * HASH_BYTES);
    let first: { readonly width: number; readonly height: number } | undefined;
    for (const [i, file] of frames.entries()) {
      const read = await this.#read(file, named(name, i, file));
      first ??= read;
      requireSize(film, i, first, read);
      const digest = createHash("sha256").update(read.bytes).digest();
      hashes.set(digest, i * HASH_BYTES);
      this.#served.set(digest.toString("hex"), { path: file, bytes: read.bytes.length, decoded: read.decoded });
    }
    return { sequence: name, base: 1, box, frames: hashes };
  }

  /** A frame's bytes, by their hash; undefined for what is of no film. */
  async serve(sha256: string): Promise<StoredBytes | undefined> {
    const frame = this.#served.get(sha256);
    if (!frame) return undefined;
    if (!frame.decoded) return new StoredFile(frame.path, frame.bytes);
    const { bytes } = await this.#read(frame.path, frame.path);
    return {
      bytes: bytes.length,
      stream: (begin = 0, end = bytes.length) =>
        new ReadableStream({
          pull: (controller) => {
            if (end > begin) controller.enqueue(bytes.slice(begin, end));
            controller.close();
          },
        }),
    };
  }

  async #read(file: string, what: string) {
    const raw = await readFile(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") {
        throw new BitswarmError("DATA_MISSING", `${what} is not there; unpack the sequence again`);
      }
      throw storageError(error, file, undefined, "read");
    });
    if (raw.length > MOST_FRAME_BYTES) {
      throw new BitswarmError("DATA_INVALID", `${what} has ${raw.length} bytes; at most ${MOST_FRAME_BYTES} are read`);
    }
    try {
      const jpeg = imageKind(raw) === "JPEG" ? inspectJpeg(raw) : undefined;
      if (jpeg?.complete === false) throw new BitswarmError("DATA_INVALID", "the picture ends early; fetch it anew");
      if (jpeg && jpeg.components !== 4) {
        return { bytes: raw, width: jpeg.width, height: jpeg.height, decoded: false };
      }
      this.#decode ??= pictureDecoder();
      const image = await (await this.#decode)(raw);
      return { bytes: writePpm(image), width: image.width, height: image.height, decoded: true };
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      throw new BitswarmError(error.code, `${what}: ${error.message}`, { cause: error });
    }
  }
}

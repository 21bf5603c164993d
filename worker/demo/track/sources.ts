// Where frames come from: a film from a file, or the camera, each shown by a video that is never seen itself.

import { cameraTrouble } from "../camera.ts";

export type SourceKind = "file" | "camera";

/** What is open, until it is closed. */
export interface Source {
  readonly kind: SourceKind;
  readonly video: HTMLVideoElement;
  /** Calls once where its pictures end before it is closed, as those of a camera that is pulled out. */
  watch(gone: (why: string) => void): void;
  close(): void;
}

/** Why there is no picture, in words. */
export class NoPicture extends Error {}

function quietVideo(): HTMLVideoElement {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.preload = "auto";
  return video;
}

/** Resolves once the first picture can be drawn. */
function firstPicture(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", () => resolve(), { once: true });
    video.addEventListener("error", () => reject(video.error ?? new Error("no picture")), { once: true });
  });
}

/** A film that stands at its first frame. @throws NoPicture */
export async function openFilm(file: File): Promise<Source> {
  const video = quietVideo();
  const address = URL.createObjectURL(file);
  const close = () => {
    video.pause();
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  };
  const ready = firstPicture(video);
  video.src = address;
  try {
    await ready;
    const watch: Source["watch"] = (gone) => {
      video.addEventListener("error", () => video.src && gone(`${file.name} cannot be played any further.`), {
        once: true,
      });
    };
    return { kind: "file", video, watch, close };
  } catch {
    close();
    throw new NoPicture(`${file.name} is no film that this browser can play; MP4 and WebM mostly are.`);
  }
}

/** @throws NoPicture */
export async function openCamera(): Promise<Source> {
  let stream: MediaStream | undefined;
  try {
    const wanted = { facingMode: "environment", width: { ideal: 960 }, height: { ideal: 720 } };
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    const video = quietVideo();
    const ready = firstPicture(video);
    video.srcObject = stream;
    await ready;
    await video.play();
    const tracks = stream.getTracks();
    return {
      kind: "camera",
      video,
      watch: (gone) => {
        const ended = () => gone("The camera gives no picture any more.");
        tracks[0]?.addEventListener("ended", ended, { once: true });
      },
      close: () => {
        for (const track of tracks) track.stop();
        video.srcObject = null;
      },
    };
  } catch (error) {
    for (const track of stream?.getTracks() ?? []) track.stop();
    throw new NoPicture(cameraTrouble(error, isSecureContext));
  }
}

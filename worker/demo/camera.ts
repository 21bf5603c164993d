// The camera, while somebody wants it: its picture on the page, a look at it now and then, and off it goes.

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Between two looks: fast enough to follow a hand, slow enough for a phone. */
const LOOK_MS = 150;

/** Why there is no picture, in words. */
export function cameraTrouble(error: unknown, secure: boolean): string {
  if (!secure) return "Browsers lend a camera to https and localhost only; a picture from a file works here.";
  switch ((error as { readonly name?: string } | undefined)?.name) {
    case "NotAllowedError":
      return "The camera is not allowed here. Allow it in the address bar, and choose Camera again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No camera is found on this device.";
    default:
      return "The camera gives no picture; another program may be using it.";
  }
}

export interface CameraProps {
  readonly onLook: (video: HTMLVideoElement) => void;
}

export function Camera({ onLook }: CameraProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [trouble, setTrouble] = useState<string>();
  useEffect(() => {
    let stream: MediaStream | undefined;
    let gone = false;
    const release = () => {
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
    const begin = async () => {
      try {
        const wanted = { facingMode: "environment", width: { ideal: 640 }, height: { ideal: 640 } };
        stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
        if (gone || !video.current) return release();
        video.current.srcObject = stream;
        await video.current.play();
      } catch (error) {
        if (!gone) setTrouble(cameraTrouble(error, isSecureContext));
      }
    };
    void begin();
    const timer = setInterval(() => {
      if (video.current && video.current.videoWidth > 0 && !document.hidden) onLook(video.current);
    }, LOOK_MS);
    return () => {
      gone = true;
      clearInterval(timer);
      release();
    };
  }, []);
  return trouble === undefined
    ? h("video", { id: "camera", ref: video, muted: true, playsInline: true, "aria-label": "What the camera sees" })
    : h("p", { id: "camera-trouble", class: "trouble", role: "alert" }, trouble);
}

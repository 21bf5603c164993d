// The slide for the projector: how to get in, and how many are in.

import { escaped, pageOf } from "./html.ts";
import type { QrShape } from "./qr.ts";

export interface SlideFacts {
  /** What is trained. */
  readonly name: string;
  /** As people type it: host, port and code. */
  readonly shortAddress: string;
  readonly qr: QrShape;
  readonly workers: number;
  /** Of the certificate that devices are asked to trust. */
  readonly fingerprint?: string;
}

function qrPicture({ size, path }: QrShape): string {
  return `<svg class="qr" viewBox="0 0 ${size} ${size}" role="img" aria-label="QR code of the address beside it"><rect class="paper" width="${size}" height="${size}"/><path class="ink" d="${path}"/></svg>`;
}

export function joinPage({ name, shortAddress, qr, workers, fingerprint }: SlideFacts): string {
  const trust =
    fingerprint === undefined ? "" : "<li>The first time, let your device trust the room, as its page says</li>";
  const check =
    fingerprint === undefined
      ? ""
      : `<p class="fingerprint">Fingerprint of the room's certificate: <code>${escaped(fingerprint).replaceAll(":", ":<wbr>")}</code></p>`;
  const body = `<main>
<div class="code">${qrPicture(qr)}</div>
<div class="words">
<p class="brand"><img src="./class-room/icon.svg" alt="" width="40" height="40">bitswarm</p>
<h1>Lend your GPU to <span class="run">${escaped(name)}</span></h1>
<ol><li>Scan the code, or type<br><strong class="address">${escaped(shortAddress)}</strong></li>${trust}<li>Press <b>Start</b></li></ol>
<p class="count" role="status"><span id="workers">${workers}</span> <span id="noun">${workers === 1 ? "GPU is" : "GPUs are"}</span> in</p>
<p id="progress" class="progress"></p>
</div>
</main>
<footer>${check}<div class="buttons"><button id="theme" type="button">Light or dark</button><button id="full" type="button">Full screen</button></div></footer>`;
  return pageOf({ title: "Join", kind: "join", body }, "./");
}

// How a device comes to trust the room's certificate: what it is, its fingerprint, and what to do on each system.

import type { Authority } from "../tls/authority.ts";
import { escaped, pageOf } from "./html.ts";
import { type SystemName, systemNames, systemsFor } from "./systems.ts";

export const CERTIFICATE_FILE = "bitswarm-class-room.crt";

export interface TrustFacts {
  readonly authority: Pick<Authority, "name" | "fingerprint" | "until" | "onlyAddress">;
  /** Opened first. */
  readonly system: SystemName | undefined;
  /** Where the visitor wants to get, over https; none for who came to learn how to trust. */
  readonly goal?: string;
  /** What a device that trusts can fetch, of a visitor who came without TLS: by that it is seen. */
  readonly probe?: string;
  /** Of the class room's files, relative to the page. */
  readonly root: string;
}

function systemText(facts: TrustFacts, which: SystemName): string {
  const { title, steps, command, undo } = systemsFor(CERTIFICATE_FILE, facts.authority.name.commonName)[which];
  const items = steps.map((step) => `<li>${escaped(step)}</li>`).join("");
  const line =
    command === undefined
      ? ""
      : `<p>Or in a terminal, in the folder of the download:</p><pre tabindex="0"><code>${escaped(command)}</code></pre>`;
  const open = which === facts.system ? " open" : "";
  return `<details name="system"${open}><summary>${escaped(title)}</summary><ol>${items}</ol>${line}<p class="quiet">To take it off again: ${escaped(undo)}</p></details>`;
}

export function trustPage(facts: TrustFacts): string {
  const { authority, goal, probe, root } = facts;
  const onward =
    goal === undefined
      ? "<p>Type the address on the board again.</p>"
      : `<p><a class="button" id="go" href="${escaped(goal)}">Open the secure page</a></p>`;
  const link = goal === undefined ? "Type the address on the board again." : `<a href="${escaped(goal)}">Go on</a>`;
  const until = authority.until.toISOString().slice(0, 10);
  const good =
    authority.onlyAddress === undefined
      ? "web servers in private networks alone, such as this room's, and for no site of the internet"
      : `a web server at ${authority.onlyAddress} alone`;
  const groups = escaped(authority.fingerprint).replaceAll(":", ":<wbr>");
  const body = `<main>
<header><p class="brand"><img src="${root}class-room/icon.svg" alt="" width="28" height="28">bitswarm</p>
<h1>Let this device trust the room</h1>
<p class="lead">Browsers lend the graphics processor to secure pages only. The computer that runs this training made a certificate of its own, which your device does not know yet. It is told once.</p></header>
<section class="card good" id="trusted" role="status" hidden><p><b>This device trusts the room's certificate.</b> ${link}</p></section>
<section class="card"><h2>1. Get the certificate</h2>
<p><a class="button" id="certificate" href="${root}trust/${CERTIFICATE_FILE}">Download ${CERTIFICATE_FILE}</a></p>
<p>Its fingerprint (SHA-256). It must be the one on the projector, or in the terminal of whoever runs this: if it is not, stop here.</p>
<p class="fingerprint"><code>${groups}</code></p></section>
<section class="card"><h2>2. Tell this device to trust it</h2>${systemNames.map((which) => systemText(facts, which)).join("")}</section>
<section class="card"><h2>3. Go on</h2>${onward}${probe === undefined ? "" : '<p class="quiet" id="waiting" role="status"></p>'}
<p class="quiet">If you may not change this device's settings: open the address with https:// anyway, and where the browser warns choose “Advanced” and “Proceed”. What you send is encrypted then, too, but nobody checks who answers: do so in a network that you trust only.</p></section>
<section class="card"><h2>What you agree to</h2>
<p>“${escaped(authority.name.commonName)}” is good for ${escaped(good)}; it ends on ${until}. Its key lies on the computer that runs this training. Take it off when the course is over.</p></section>
</main>`;
  const data = { ...(goal === undefined ? {} : { goal }), ...(probe === undefined ? {} : { probe }) };
  return pageOf({ title: "Trust this room", kind: "trust", body, data }, root);
}

// The page that follows: fetches the networks that lie beside it, and hands them to whoever draws.

import { h } from "preact";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { NoDemo } from "../fetch-networks.ts";
import { NoDemoView } from "../no-demo.ts";
import { showPage } from "../show-page.ts";
import { fetchTrackDemo } from "./files.ts";
import { Trouble } from "./follower.ts";
import { TrackView } from "./view.ts";

await showPage(
  async () => {
    const demo = await fetchTrackDemo(new URL(location.href));
    return { title: demo.title, view: h(TrackView, { demo }) };
  },
  (error) => error instanceof NoDemo || error instanceof Trouble || error instanceof BitswarmError,
  (reason) => h(NoDemoView, { reason }),
);

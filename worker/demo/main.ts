// The demo's page: fetches the networks that lie beside it, and hands them to whoever draws.

import { h } from "preact";
import { BitswarmError } from "../../shared/base/errors.ts";
import { NoDemo } from "./fetch-networks.ts";
import { fetchDemo } from "./networks.ts";
import { NoDemoView } from "./no-demo.ts";
import { showPage } from "./show-page.ts";
import { DemoView } from "./view.ts";

await showPage(
  async () => {
    const demo = await fetchDemo(new URL(location.href));
    return { title: demo.title, view: h(DemoView, { demo }) };
  },
  (error) => error instanceof NoDemo || error instanceof BitswarmError,
  (reason) => h(NoDemoView, { reason }),
);

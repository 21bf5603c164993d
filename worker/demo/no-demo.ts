// What stands where there is nothing to try, and why.

import { h } from "preact";

export function NoDemoView({ reason }: { readonly reason: string }) {
  return [
    h("h1", {}, "Nothing to try yet"),
    h("p", { id: "reason", role: "alert" }, reason),
    h("p", {}, h("button", { type: "button", onClick: () => location.reload() }, "Look again")),
  ];
}

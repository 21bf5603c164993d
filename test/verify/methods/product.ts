// The product's methods as a configuration makes them.

import type { Method } from "../../../shared/model/methods/method.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import type { Options } from "./case-method.ts";

/** A method with these options, and the defaults of the others. */
export function product(options: Options): Method {
  const plugin = methods.get(options.kind);
  return plugin.create(plugin.schema.parse(options) as Options);
}

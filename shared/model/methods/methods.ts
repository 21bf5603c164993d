// The table of methods: one line an entry, from which the configuration's `method` is made.

import { Registry } from "../../base/registry.ts";
import { biRealMethod } from "./bireal.ts";
import { bnnMethod } from "./bnn.ts";
import type { MethodPlugin } from "./method.ts";
import { rbcnMethod } from "./rbcn.ts";
import { xnorMethod } from "./xnor.ts";

export const methods = new Registry<MethodPlugin>("method", [rbcnMethod, xnorMethod, biRealMethod, bnnMethod]);
/** Of a configuration that names none. */
export const DEFAULT_METHOD = "rbcn";

// The table of methods: one line an entry, from which the configuration's `method` is made.

import { Registry } from "../../base/registry.ts";
import { abcMethod } from "./abc.ts";
import { biRealMethod } from "./bireal.ts";
import { bnnMethod } from "./bnn.ts";
import { dorefaMethod } from "./dorefa.ts";
import { fullMethod } from "./full.ts";
import { inqMethod } from "./inq.ts";
import { labMethod } from "./lab.ts";
import type { MethodPlugin } from "./method.ts";
import { polinoMethod } from "./polino.ts";
import { rbcnMethod } from "./rbcn.ts";
import { rbcnPrunedMethod } from "./rbcn-pruned.ts";
import { ttqMethod } from "./ttq.ts";
import { xnorMethod } from "./xnor.ts";
import { xnorppMethod } from "./xnorpp.ts";
import { zhuangMethod } from "./zhuang.ts";

export const methods = new Registry<MethodPlugin>("method", [
  rbcnMethod,
  xnorMethod,
  biRealMethod,
  bnnMethod,
  labMethod,
  ttqMethod,
  inqMethod,
  dorefaMethod,
  abcMethod,
  polinoMethod,
  xnorppMethod,
  rbcnPrunedMethod,
  zhuangMethod,
  fullMethod,
]);
/** Of a configuration that names none. */
export const DEFAULT_METHOD = "rbcn";

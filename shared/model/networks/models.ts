// The table of models: one line an entry, from which the configuration's `model` is made.

import { Registry } from "../../base/registry.ts";
import { leNetModel } from "./lenet.ts";
import type { Model } from "./model.ts";
import { resNetModel } from "./resnet.ts";
import { wrnModel } from "./wrn.ts";

export const models = new Registry<Model>("model", [leNetModel, resNetModel, wrnModel]);
/** Of a configuration that names none. */
export const DEFAULT_MODEL = "lenet";

// The table of models: one line an entry, from which the configuration's `model` is made.

import { Registry } from "../../base/registry.ts";
import { leNetModel } from "./lenet.ts";
import type { Model } from "./model.ts";
import { resNetModel } from "./resnet.ts";
import { torchvisionModel } from "./resnet-torchvision.ts";
import { siamFcModel } from "./siamfc.ts";
import { wrnModel } from "./wrn.ts";

export const models = new Registry<Model>("model", [leNetModel, resNetModel, torchvisionModel, wrnModel, siamFcModel]);
/** Of a configuration that names none. */
export const DEFAULT_MODEL = "lenet";
/** Of a teacher's `model` that names none. */
export const DEFAULT_TEACHER_MODEL = "resnet-torchvision";

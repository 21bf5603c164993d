// The layouts that a source may have: one line each.

import { Registry } from "../../../shared/base/registry.ts";
import { cifar } from "./cifar.ts";
import { got10k } from "./got10k.ts";
import { huggingface } from "./huggingface.ts";
import { huggingfaceTar } from "./huggingface-tar.ts";
import { ilsvrc2012 } from "./ilsvrc2012.ts";
import { imagefolder } from "./imagefolder.ts";
import { kaggle } from "./kaggle.ts";
import type { Layout } from "./layout.ts";
import { mnist } from "./mnist.ts";
import { otb } from "./otb.ts";
import { tinyImagenet } from "./tiny-imagenet.ts";
import { uav123 } from "./uav123.ts";
import { vot } from "./vot.ts";
import { webdataset } from "./webdataset.ts";

export const layouts = new Registry<Layout>("layout", [
  ilsvrc2012,
  kaggle,
  imagefolder,
  huggingface,
  huggingfaceTar,
  webdataset,
  tinyImagenet,
  cifar,
  mnist,
  got10k,
  otb,
  uav123,
  vot,
]);

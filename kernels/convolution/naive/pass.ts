// Every pass of a convolution once more, one sum an invocation and plain loops: the reference that the tilings are
// checked against, and what is left to trust on an adapter that is suspected to be wrong. It adds in the canonical
// order (README.md).

import type { KernelSequence } from "../../text/kernel.ts";
import { foldPositions } from "../../text/window-loops.ts";
import { isCorrelation } from "../pass/correlation.ts";
import type { ConvolutionPass } from "../pass/pass.ts";
import { naiveCorrelation } from "./correlation.ts";
import { naiveBinaryForward, naiveForward } from "./forward.ts";
import { naiveInputGradient, naiveWeightGradient } from "./gradients.ts";
import { naivePlanesForward } from "./planes-forward.ts";

/** The kernel of a pass, naively; bindings and layouts are those of its verb. */
export function naivePass(pass: ConvolutionPass): KernelSequence {
  if (isCorrelation(pass)) return naiveCorrelation(pass);
  const s = foldPositions(pass.shape);
  switch (pass.verb) {
    case "convForward":
      return naiveForward(pass, s, pass.bias);
    case "binaryConvForward":
      return naiveBinaryForward(pass, s, pass.rectify);
    case "planesConvForward":
      return naivePlanesForward(pass, s, pass);
    case "convInputGradient":
    case "binaryConvInputGradient":
      return naiveInputGradient(pass, s);
    case "convWeightGradient":
    case "binaryConvWeightGradient":
      return naiveWeightGradient(pass, s);
    default:
      return pass satisfies never;
  }
}

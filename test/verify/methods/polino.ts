// Polino's cases: evenly spaced levels, and learned points.

import { z } from "zod";
import { rounded, same } from "../tolerance.ts";
import type { CaseMethod } from "./case-method.ts";
import { codesOf } from "./codes.ts";
import { product } from "./product.ts";

const bucket = z.enum(["layer", "out"]);
const uniform = z.object({ bits: z.number(), bucket, backward: z.enum(["none", "truncated", "full"]) });
const learned = z.object({ points: z.number(), bucket });

export const uniformCase: CaseMethod = {
  create: (weight) => product({ kind: "polino", ...uniform.parse(weight) }),
  outs: ({ test, layer }) => [same("codes", codesOf(layer, -1), test)],
};

export const pointsCase: CaseMethod = {
  create: (weight) => {
    const { points, bucket: shared } = learned.parse(weight);
    return product({ kind: "polino", points: true, pointCount: points, bucket: shared });
  },
  companions: (test) => ({ points: test.tensor("in.points").data }),
  outs: ({ test, layer, rule }, gradient) => [
    same("indices", codesOf(layer, -1), test),
    rounded("dpoints", rule.gradients(layer, gradient).learned.points, test, gradient.length),
  ],
};

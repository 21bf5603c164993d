// The table of the literature's methods in the oracle: one line an entry, by the name that cases give it.

import { z } from "zod";
import { NotSupported } from "../not-supported.ts";
import { abcCase } from "./abc.ts";
import { biRealCase } from "./bireal.ts";
import { bnnCase } from "./bnn.ts";
import type { CaseMethod } from "./case-method.ts";
import { dorefaCase } from "./dorefa.ts";
import { inqCase } from "./inq.ts";
import { labCase } from "./lab.ts";
import { maskCase } from "./mask.ts";
import { pointsCase, uniformCase } from "./polino.ts";
import { ttqCase } from "./ttq.ts";
import { xnorCase } from "./xnor.ts";

/** By `attrs.method`. */
const caseMethods: Readonly<Record<string, CaseMethod>> = {
  bnn: bnnCase,
  xnor: xnorCase,
  bireal: biRealCase,
  lab: labCase,
  ttq: ttqCase,
  inq: inqCase,
  dorefa: dorefaCase,
  abc: abcCase,
  uniform: uniformCase,
  points: pointsCase,
  mask: maskCase,
};

/** @throws NotSupported */
export function caseMethod(weight: unknown): CaseMethod {
  const { method } = z.object({ method: z.string() }).parse(weight);
  if (!Object.hasOwn(caseMethods, method)) throw new NotSupported(`method ${method}`);
  return caseMethods[method];
}

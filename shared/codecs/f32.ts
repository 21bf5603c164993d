// `f32`: float32 as a device adds them up, four bytes an element.

import type { Codec } from "./codec.ts";

export const f32: Codec = { kind: "f32", number: 1, accumulate: "float", exactSums: false, coding: null };

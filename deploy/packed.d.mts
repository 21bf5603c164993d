// packed.mjs is plain JavaScript; this is what TypeScript knows of it.
import type { Plugin } from "vite";

export function packed(): Plugin;

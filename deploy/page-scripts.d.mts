// page-scripts.mjs is plain JavaScript; this is what TypeScript knows of it.
import type { Plugin } from "vite";

export function workerChunks(): Plugin;
export function smallSchemas(): Plugin;

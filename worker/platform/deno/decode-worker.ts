// Deno's decode thread: a Worker, which may read what its parent may.

import { serveDecoding } from "../serve-decoding.ts";
import { readJpegModule } from "./jpeg-module.ts";

serveDecoding(readJpegModule);

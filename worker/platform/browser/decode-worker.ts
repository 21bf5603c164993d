// The browser's decode thread: a Web Worker that the session's Web Worker starts.

import "./no-eval.ts";

import { serveDecoding } from "../serve-decoding.ts";
import { fetchJpegModule } from "./jpeg-module.ts";

serveDecoding(fetchJpegModule);

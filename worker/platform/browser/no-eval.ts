// Must be the first import of a page's script: zod looks for eval when a schema is defined, and the content security
// policy reports that.

import { config } from "zod/mini";

config({ jitless: true });

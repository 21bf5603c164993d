// A store by the name that people give it: a folder, or s3://bucket/prefix.

import { resolve } from "node:path";
import { isBucket } from "../../shared/data/data-kinds.ts";
import type { Environment } from "./bucket-access.ts";
import { BucketStore } from "./bucket-store.ts";
import { LocalStore } from "./local-store.ts";
import type { StoreReader } from "./store-reader.ts";

/**
 * Opens nothing yet: the first read says whether anything is there.
 * @param environment has the keys of a bucket
 * @throws CONFIG_INVALID
 */
export async function openStore(where: string, environment: Environment = process.env): Promise<StoreReader> {
  return isBucket(where) ? new BucketStore(where, environment) : new LocalStore(resolve(where));
}

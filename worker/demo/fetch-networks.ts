// The networks of a page, as the files that lie beside it.

import { LISTING_PATH, networkPath, readListing } from "./listing.ts";

/** Why there is no demo, in words for whoever opened it. */
export class NoDemo extends Error {}

/** The coordinator's word for why it has none, as its errors have one. */
async function reasonOf(answer: Response): Promise<string> {
  const { message } = (await answer.json().catch(() => ({}))) as { readonly message?: unknown };
  return typeof message === "string" ? message : `the server answered ${answer.status}`;
}

export interface FetchedNetworks {
  readonly title: string;
  /** Exported files, that of the network that the run is for first. */
  readonly files: readonly [Uint8Array<ArrayBuffer>, ...Uint8Array<ArrayBuffer>[]];
}

/**
 * @param page the page's own address, whose token opens the files
 * @throws NoDemo
 */
export async function fetchNetworks(page: URL): Promise<FetchedNetworks> {
  const token = page.searchParams.get("token");
  const get = async (path: string) => {
    const address = new URL(path, page);
    address.search = token === null ? "" : `?token=${encodeURIComponent(token)}`;
    const answer = await fetch(address).catch(() => undefined);
    if (answer?.ok) return answer;
    throw new NoDemo(answer ? await reasonOf(answer) : "the server cannot be reached; try again in a moment");
  };
  const listing = readListing(await (await get(LISTING_PATH)).json().catch(() => undefined));
  if (!listing) throw new NoDemo(`${LISTING_PATH} names no networks`);
  const [first, ...others] = await Promise.all(
    listing.networks.map(async (name) => new Uint8Array(await (await get(networkPath(name))).arrayBuffer())),
  );
  if (first === undefined) throw new NoDemo("no network is trained yet");
  return { title: listing.title, files: [first, ...others] };
}

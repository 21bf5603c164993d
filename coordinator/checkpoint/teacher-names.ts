// Names of tensors in files of other programs, without what wrappers of a module put into them.

/** DataParallel's, torch.compile's. */
const wrappers: readonly string[] = ["module", "_orig_mod"];

const bare = (name: string) =>
  name
    .split(".")
    .filter((part) => !wrappers.includes(part))
    .join(".");

/** Names without what wrappers put into them; nothing where two tensors would then have one name. */
export function unwrapped<T>(tensors: ReadonlyMap<string, T>): ReadonlyMap<string, T> | undefined {
  const all = new Map([...tensors].map(([name, tensor]) => [bare(name), tensor]));
  return all.size === tensors.size ? all : undefined;
}

/** Batches that a norm has seen, which no network here computes with. */
const counted = /(^|\.)num_batches_tracked$/;

/**
 * Tensors of the modules that a network has, which it has no place for: blocks that it has not, a bias, another kind of
 * block. A file of a deeper network would else be taken for a shallower one.
 * @param names in the file @param own of the network
 */
export function withoutPlace(names: Iterable<string>, own: readonly string[]): readonly string[] {
  const modules = new Set(own.map((name) => name.split(".")[0]));
  const known = new Set(own);
  return [...names].filter((name) => !known.has(name) && !counted.test(name) && modules.has(name.split(".")[0]));
}

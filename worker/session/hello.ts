// How a worker introduces itself: who it is and what it holds, then that it holds its key (SPEC.md, S1, Z1).

import { BitswarmError } from "../../shared/base/errors.ts";
import { type ProofSubject, proofBytes } from "../../shared/base/identity.ts";
import { type HelloMessage, PROTOCOL_VERSION, type WorkerMessage } from "../../shared/wire/protocol.ts";
import { MAX_TEXT } from "../../shared/wire/text-limit.ts";
import type { Identity } from "./identity.ts";

/** @param held what it holds of the session that a lost connection left behind */
export function hello(
  { name, ...who }: Pick<HelloMessage, "name" | "runtime" | "adapter" | "publicKey" | "token">,
  held: Pick<HelloMessage, "resume" | "holds">,
): HelloMessage {
  return { type: "hello", protocol: PROTOCOL_VERSION, name: name.slice(0, MAX_TEXT), ...who, ...held };
}

/** @throws IDENTITY_INVALID where the key cannot sign */
export async function proof(
  challenge: ProofSubject,
  identity: Identity,
): Promise<Extract<WorkerMessage, { type: "proof" }>> {
  try {
    return { type: "proof", signature: await identity.sign(proofBytes(challenge)) };
  } catch (cause) {
    const message = `this worker's key cannot sign: ${String(cause)}; clear this site's data and reload`;
    throw new BitswarmError("IDENTITY_INVALID", message, { cause });
  }
}

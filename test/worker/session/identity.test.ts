// The worker's key pair: where it is kept, and what a worker without one says.

import { expect, onTestFinished, test, vi } from "vitest";
import { requireProof } from "../../../coordinator/trust/proof.ts";
import { type ProofSubject, proofBytes } from "../../../shared/base/identity.ts";
import { type KeyPair, openIdentity } from "../../../worker/session/identity.ts";

const subject: ProofSubject = { nonce: "ab".repeat(32), run: "run-1", protocol: 2, token: "secret" };

test("a worker without WebCrypto says so, and what to do", async () => {
  vi.stubGlobal("crypto", {});
  onTestFinished(() => {
    vi.unstubAllGlobals();
  });
  await expect(openIdentity(undefined, () => undefined)).rejects.toMatchObject({
    code: "IDENTITY_INVALID",
    message: expect.stringMatching(/crypto\.subtle.*https or on localhost/),
  });
});

test("what a worker signs, the coordinator finds proved", async () => {
  const { publicKey, sign } = await openIdentity(undefined, () => undefined);
  const signature = await sign(proofBytes(subject));
  requireProof(publicKey, signature, subject);
  expect(() => requireProof(publicKey, signature, { ...subject, token: "another" })).toThrow("not signed");
});

test("a key is made once, and the next visit signs with it", async () => {
  let kept: KeyPair | undefined;
  let saved = 0;
  const store = {
    extractable: false,
    load: async () => kept,
    save: async (pair: KeyPair) => {
      kept = pair;
      saved++;
    },
  };
  const [first, second] = [await openIdentity(store, () => undefined), await openIdentity(store, () => undefined)];
  expect(second.publicKey).toBe(first.publicKey);
  expect(saved).toBe(1);
  expect(kept?.privateKey.extractable).toBe(false);
  requireProof(first.publicKey, await second.sign(proofBytes(subject)), subject);
});

test("a store that fails leaves the worker a key for this visit, and says why", async () => {
  const said: string[] = [];
  const store = {
    extractable: false,
    load: () => Promise.reject(new Error("private window")),
    save: () => Promise.resolve(),
  };
  const identity = await openIdentity(store, (message) => said.push(message));
  requireProof(identity.publicKey, await identity.sign(proofBytes(subject)), subject);
  expect(said).toEqual([expect.stringContaining("private window")]);
});

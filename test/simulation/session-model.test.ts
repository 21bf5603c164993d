// Whatever a peer says in whatever order, the coordinator answers by its rules: a model beside it says what must
// follow, and two honest volunteers bring the run to its end.

import fc from "fast-check";
import { expect, test } from "vitest";
import { virtualContribution } from "../../coordinator/simulate/virtual-contribution.ts";
import { World } from "../../coordinator/simulate/world.ts";
import { encodeChunk } from "../../shared/wire/chunk.ts";
import { contributionFrame } from "../../worker/session/lease-work.ts";
import { often } from "../fixtures/in-rotation.ts";
import { Peer, scenario } from "./session-peer.ts";

const actions = [
  ...["connect", "hello", "wrong token", "proof", "wrong proof", "ready", "ahead", "answer", "answer again"],
  ...["give back", "give back another", "pause", "leave", "cut", "resume", "need", "offer", "have", "chunk", "garbage"],
  ...["canary", "wait", "join", "chunks", "other chunks"],
] as const;
type Action = (typeof actions)[number];

/** Past a round trip of the slowest link, so that an answer is there before the next action. */
const PAUSE_MS = 1500;

const garbage = Uint8Array.of(0x81, 0xa4, 0x74, 0x79, 0x70, 0x65, 0xa1, 0x78);

/** What the peer says for an action once it has joined, and the code that ends its connection for it, if any does. */
function inSession(peer: Peer, action: Action): string | undefined {
  const [held] = peer.leases;
  switch (action) {
    case "hello":
    case "wrong token":
      peer.hello();
      return "MESSAGE_INVALID";
    case "proof":
    case "wrong proof":
      peer.say({ type: "proof", signature: "00".repeat(64) });
      return "MESSAGE_INVALID";
    case "ready":
    case "ahead":
      // More of them than there is room for stand until there is.
      peer.say({ type: "ready", ...(action === "ahead" ? { ahead: true } : {}) });
      peer.waiting = true;
      return undefined;
    case "answer": {
      if (!held) return undefined;
      const runTag = peer.welcome?.runTag ?? "";
      const { result } = virtualContribution({ lease: held, misdeed: undefined, before: undefined }, peer.world);
      peer.sent = contributionFrame(held, runTag, { ...result, checksum: 0 });
      peer.link?.volunteerSend(peer.sent);
      return undefined;
    }
    case "answer again":
      if (peer.sent) peer.link?.volunteerSend(peer.sent);
      return undefined;
    case "give back":
      if (!held) return undefined;
      peer.say({ type: "return", lease: held.lease, reason: "leave", detail: "the model says so" });
      peer.leases = peer.leases.slice(1);
      return undefined;
    case "give back another":
      peer.say({ type: "return", lease: 4_000_000, reason: "error", detail: "never held" });
      return undefined;
    case "pause":
      peer.say({ type: "paused" });
      [peer.leases, peer.waiting] = [[], false];
      return undefined;
    case "need":
      peer.say({ type: "need", set: "teacher" });
      return "MESSAGE_INVALID";
    case "chunks":
      // It holds all, it says.
      peer.say({ type: "chunks", from: 0, bits: new Uint8Array(1).fill(255) });
      return undefined;
    case "other chunks":
      peer.say({ type: "chunks", from: 2 ** 18, bits: new Uint8Array(4096) });
      return "MESSAGE_INVALID";
    case "offer":
      // Too long for one message, and of no lease: answered by the lease's verdict.
      peer.say({ type: "offer", transfer: 9, bytes: 300_000, lease: 4_000_000 });
      return undefined;
    case "have":
      peer.say({ type: "have", transfer: 12, chunks: new Uint8Array(1), credit: 8 });
      return undefined;
    case "chunk":
      peer.link?.volunteerSend(encodeChunk(5, new Uint8Array(300_000), 0));
      return "TRANSFER_INVALID";
    case "garbage":
      peer.link?.volunteerSend(garbage);
      return "MESSAGE_INVALID";
    case "canary":
      peer.say({ type: "canary-answer", seed: 1, hash: 1 });
      return "MESSAGE_INVALID";
    default:
      return undefined;
  }
}

/** Does one action, and notes what must follow. */
function act(peer: Peer, action: Action): void {
  if (peer.link && peer.expected !== undefined) peer.wrong.push(`${peer.expected} was due and did not come`);
  if (action === "connect") {
    if (peer.state === "away") peer.connect();
    return;
  }
  if (action === "join") {
    if (peer.state !== "away") return;
    peer.connect(() => {
      peer.hello();
      [peer.state, peer.auto] = ["proof", true];
    });
    return;
  }
  if (action === "resume") {
    const { welcome } = peer;
    if (peer.state !== "away" || !welcome) return;
    const leases = peer.leases.map(({ lease }) => lease);
    peer.connect(() => {
      peer.hello({ resume: { session: welcome.session, leases } });
      [peer.state, peer.auto] = ["proof", true];
    });
    return;
  }
  if (action === "cut") {
    const { link } = peer;
    peer.link = undefined;
    [peer.state, peer.expected] = ["away", undefined];
    link?.cut();
    return;
  }
  if (action === "leave" && peer.state === "joined") {
    peer.say({ type: "leave" });
    [peer.welcome, peer.leases, peer.state, peer.link] = [undefined, [], "away", undefined];
    return;
  }
  if (peer.state === "joined") peer.expected = inSession(peer, action);
  else if (peer.state === "hello") greet(peer, action);
  else if (peer.state === "proof") prove(peer, action);
}

function greet(peer: Peer, action: Action): void {
  if (action === "wait") return;
  if (action === "hello") {
    peer.hello();
    peer.state = "proof";
  } else if (action === "wrong token") {
    peer.hello({ token: "another" });
    peer.expected = "TOKEN_INVALID";
  } else {
    peer.say({ type: "ready" });
    peer.expected = "HELLO_EXPECTED";
  }
}

function prove(peer: Peer, action: Action): void {
  if (action === "wait" || !peer.challenge) return;
  if (action === "proof") peer.prove(peer.challenge);
  else if (action === "wrong proof") {
    peer.say({ type: "proof", signature: "11".repeat(64) });
    peer.expected = "IDENTITY_INVALID";
  } else {
    peer.say({ type: "ready" });
    peer.expected = "HELLO_EXPECTED";
  }
}

const likely: Action[] = ["join", "join", "ready", "ahead", "answer", "resume", "resume", "cut"];
const histories = fc.array(
  fc.constantFrom<Action>(...(actions as readonly Action[]), ...likely, ...likely, ...likely),
  {
    minLength: 5,
    maxLength: 40,
  },
);

test("V12 any history of what a peer says ends as the rules say, and the run goes on", {
  timeout: 600_000,
}, async () => {
  let joined = 0;
  await fc.assert(
    fc.asyncProperty(histories, fc.nat(1000), async (history, seed) => {
      const world = new World(scenario, seed, {});
      const peer = new Peer(world);
      history.forEach((action, i) => {
        world.timeline.at(500 + PAUSE_MS * i, "world", () => {
          act(peer, action);
          if (peer.state === "joined") joined++;
        });
      });
      const report = await world.run();
      expect(peer.wrong).toEqual([]);
      // Every lease that did not survive a lost connection had its verdict.
      expect(peer.resumes ?? []).toEqual([]);
      expect(report.violations).toEqual([]);
      expect(report).toMatchObject({ samplesLost: 0, samplesDoubled: 0 });
    }),
    { numRuns: often(40, 600), seed: 4 },
  );
  // The histories reach what they are to try.
  expect(joined).toBeGreaterThan(100);
});

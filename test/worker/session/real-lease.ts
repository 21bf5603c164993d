// A lease that a real trainer can compute: fresh parameters of the scripted run's student, evaluated on its held-out
// images.

import { exponentsFor } from "../../../coordinator/state/exponents.ts";
import { createTrainingState, wireBlob } from "../../../coordinator/state/training-state.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { wireForm } from "../../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import type { ScriptedCoordinator } from "./scripted-coordinator.ts";
import type { Peer } from "./scripted-peer.ts";
import { leaseOf } from "./scripted-run.ts";

/** Sends parameters and a lease over positions [0, 8) of the test split to a worker that is ready. */
export function sendRealLease({ config, dataset }: ScriptedCoordinator, peer: Peer, lease: number): LeaseMessage {
  const state = createTrainingState(config, dataset);
  const { bytes, hash } = wireBlob(state, "student");
  const form = wireForm(state.networks, config, "student");
  const phase = phaseOf("evaluate-student");
  const layout = phaseLayout(state.networks, phase);
  const message = leaseOf(lease, peer.sendParameters(bytes, hash, form), {
    phase: phase.name,
    split: "test",
    codec: "exact",
    era: 0,
    exponents: exponentsFor(state, phase.name, layout),
    timeoutMs: 60_000,
  });
  peer.send(message);
  return message;
}

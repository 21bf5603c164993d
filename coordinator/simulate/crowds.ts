// At which gateway a volunteer is, and for how many it stands: of a hundred thousand, one gateway in ten has all of its
// volunteers, at the others each seat is a hundred of them at once. Leases, sums and messages above a gateway are the
// same; what is not simulated is ninety thousand sessions that behave as the ten thousand do.

import type { Scenario } from "./scenario.ts";

/** Volunteers that one stands for, at a gateway that does not run whole. */
export const CROWD = 100;

export function gatewayOf({ gateways }: Pick<Scenario, "gateways">, seat: number): number {
  return gateways === 0 ? 0 : seat % gateways;
}

/** 1 for somebody, `CROWD` for who stands for so many, 0 for who is among them. @param seat from 0 */
export function standsFor(scenario: Pick<Scenario, "gateways" | "whole">, seat: number): number {
  const gateway = gatewayOf(scenario, seat);
  if (scenario.gateways === 0 || gateway % scenario.whole === 0) return 1;
  return Math.floor(seat / scenario.gateways) % CROWD === 0 ? CROWD : 0;
}

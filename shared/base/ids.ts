// Branded ids: a string that names a worker cannot be passed where a run is wanted.

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

export type RunId = Branded<string, "run">;
export type WorkerId = Branded<string, "worker">;
export type LeaseId = Branded<number, "lease">;

export const runId = (value: string): RunId => value as RunId;
export const workerId = (value: string): WorkerId => value as WorkerId;
export const leaseId = (value: number): LeaseId => value as LeaseId;

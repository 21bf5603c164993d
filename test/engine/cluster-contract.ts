// What several coordinators and gateways of one run must do (SPEC.md, U), as one suite: real rounds, sums, optimizer,
// logs and folders, whatever carries their messages.

import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../coordinator/base/clock.ts";
import { COMMIT_LOG, readCommitLog, standingCommits } from "../../coordinator/checkpoint/commit-log.ts";
import { readHead, readLease } from "../../coordinator/cluster/keys.ts";
import type { EngineRun } from "../../coordinator/engine/engine.ts";
import { localEngine } from "../../coordinator/engine/local/local-engine.ts";
import { Lead } from "../../coordinator/engine/nats/lead.ts";
import { NatsEngine } from "../../coordinator/engine/nats/nats-engine.ts";
import type { Outbox } from "../../coordinator/engine/outbox.ts";
import type { RunEvent } from "../../coordinator/engine/run-event.ts";
import { Gateway } from "../../coordinator/gateway/gateway.ts";
import { assembleState } from "../../coordinator/state/training-state.ts";
import { InlineTraining } from "../../coordinator/training/inline-training.ts";
import { startTraining } from "../../coordinator/training/start-training.ts";
import { TrainingCore } from "../../coordinator/training/training-core.ts";
import { type WorkerId, workerId } from "../../shared/base/ids.ts";
import type { ClusterHub } from "../fixtures/cluster-hub.ts";
import { frameOf, honestContribution } from "../fixtures/scripted-contribution.ts";
import { Stage } from "./stage.ts";

/** What every coordinator of these runs is given: small, with sums that are exact. */
const exact = { codec: "exact", checkpoint: { everySteps: 100 } } as const;
const STEPS = 5;

interface NodeOptions {
  /** What is otherwise with it. */
  readonly change?: (run: EngineRun) => EngineRun;
  /** Folder of a coordinator that was stopped. */
  readonly resume?: string;
}

/** A coordinator on a hub, opened and driving. */
async function coordinatorOn(hub: ClusterHub, id: string, { change = (run) => run, resume }: NodeOptions = {}) {
  const make = async (run: EngineRun) => NatsEngine.open({ ports: await hub.ports(id), id }, change(run));
  const folder = resume === undefined ? { config: exact } : { resume };
  const stage = await Stage.open(make, { ...folder, maxSteps: STEPS });
  onTestFinished(() => void hub.faults.cut.delete(id));
  return stage.start();
}

interface TestGateway {
  readonly gateway: Gateway;
  readonly events: readonly RunEvent[];
}

/** A gateway on a hub whose volunteers answer what they are leased. @param of a coordinator of the run */
async function gatewayOn(hub: ClusterHub, id: string, { run }: Stage, volunteers = 2): Promise<TestGateway> {
  const { state, directory } = run;
  const { config, dataset, networks, program } = state;
  const { runTag } = directory;
  const { bus, bulk, close } = await hub.ports(id);
  const events: RunEvent[] = [];
  const again = (worker: WorkerId) => void setTimeout(() => !gateway.ended && gateway.inbox.ready(worker, {}), 1);
  const outbox: Outbox = {
    lease: (worker, lease) => {
      setTimeout(() => {
        if (gateway.ended) return;
        void gateway.inbox.contribute(worker, frameOf(honestContribution({ ...state, runTag }, lease)));
      }, 1);
    },
    accepted: again,
    rejected: again,
    cancelled: again,
    rests: () => undefined,
    audited: () => undefined,
    dismissed: () => undefined,
  };
  const gateway: Gateway = new Gateway({
    id,
    run: { run: directory.run, runTag, config, networks, program },
    bus,
    bulk,
    clock: systemClock,
    draw: () => 1,
    life: randomInt(1, 2 ** 31),
    training: new InlineTraining(new TrainingCore(assembleState(config, dataset, { parameters: {} }), runTag)),
    outbox,
    onEvent: (event) => events.push(event),
  });
  gateway.run().catch(() => undefined);
  onTestFinished(async () => {
    gateway.kill();
    await close();
  });
  for (let i = 1; i <= volunteers; i++) {
    const worker = workerId(`${id}.w${i}`);
    const adapter = { vendor: "test", architecture: "", description: "staged", software: true };
    const facts = { account: worker, name: worker, runtime: "node", adapter, address: worker, own: true } as const;
    gateway.inbox.join(worker, facts);
    gateway.inbox.ready(worker, {});
  }
  return { gateway, events };
}

const linesOf = async ({ run }: Stage) =>
  (await readFile(join(run.directory.path, COMMIT_LOG), "utf8")).trimEnd().split("\n");

/** Committed parameters after each step that stands. */
async function hashesOf(stage: Stage): Promise<string[]> {
  const records = await readCommitLog(stage.run.directory.path);
  return standingCommits(records).flatMap((one) => (one.type === "step" ? [`${one.step} ${one.paramsHash}`] : []));
}

/** Samples of the steps that stand. */
async function samplesIn(stage: Stage): Promise<number> {
  const records = await readCommitLog(stage.run.directory.path);
  return standingCommits(records).reduce((sum, one) => sum + (one.type === "step" ? one.samples : 0), 0);
}

let made: Promise<string[]> | undefined;
/** What the same run comes to in one process, without any of this. */
const undisturbed = () => (made ??= alone());

async function alone(): Promise<string[]> {
  const stage = await Stage.open((run) => localEngine.open({ kind: "local" }, run), { config: exact, maxSteps: STEPS });
  const { done } = stage.start();
  await stage.join("one").work(done);
  await done;
  return hashesOf(stage);
}

const stepsAt = (stage: Stage, step: number) => () => stage.engine.status().step >= step;
const leads = ({ events }: Stage) => events.some(({ type }) => type === "leads");

/** Each sample of what stands, once: the ledger refuses twice, and a pass that is over is whole. */
async function expectEnd(stage: Stage): Promise<void> {
  expect(await stage.done).toMatchObject({ finished: true, step: STEPS });
  expect(await hashesOf(stage)).toEqual(await undisturbed());
  expect(stage.engine.status().samples).toBe(await samplesIn(stage));
}

/** @param makeHub of a run of its own, each time */
export function clusterContract(name: string, makeHub: () => ClusterHub): void {
  describe(`several coordinators on ${name}`, () => {
    test("U13 a standby follows with the same parameters, goes on where the leader is gone, and ends with the bits of a run in one process", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      await leader.workUntil("one", stepsAt(leader, 1));
      const standby = await coordinatorOn(hub, "c-1");
      expect(standby.engine.status().step).toBe(1);
      await leader.workUntil("two", stepsAt(leader, 3));
      const losses = ({ events }: Stage) =>
        events.flatMap((one) => (one.type === "step" && one.step > 1 ? [one.loss] : []));
      // A step may be on its way to the file still, and from there to those who look on.
      for (const each of [leader, standby]) {
        await expect.poll(async () => (await linesOf(each)).length).toBe(3);
        await expect.poll(() => losses(each).length).toBe(2);
      }
      expect(await linesOf(standby)).toEqual(await linesOf(leader));
      expect(losses(standby)).toEqual(losses(leader));
      hub.faults.cut.add("c-0");
      await expect.poll(() => leads(standby)).toBe(true);
      await standby.join("three").work(standby.done);
      await expectEnd(standby);
      // What led before wakes: another has the run, and its log has nothing that the run has not.
      hub.faults.cut.clear();
      await expect(leader.done).rejects.toMatchObject({ code: "ENGINE_FENCED" });
      const lines = await linesOf(leader);
      expect((await linesOf(standby)).slice(0, lines.length)).toEqual(lines);
    });

    test("U19 where the store is emptied the leader goes on, and makes it anew", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      await leader.workUntil("one", stepsAt(leader, 2));
      await hub.emptyStore();
      await leader.join("two").work(leader.done);
      await expectEnd(leader);
      const { store } = await hub.ports("c-2");
      expect(await readHead(store)).toMatchObject({ value: { step: STEPS } });
    });

    test("U20 a commit whose answer is lost is made once, whether it was done or not", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      let swaps = 0;
      hub.faults.swap = (_node, key) => {
        if (key !== "head") return { done: true, answered: true };
        swaps++;
        return { done: swaps % 3 !== 0, answered: swaps % 3 === 2 };
      };
      await leader.join("one").work(leader.done);
      await expectEnd(leader);
      expect(swaps).toBeGreaterThan(STEPS);
      const records = await readCommitLog(leader.run.directory.path);
      expect(records.filter(({ type }) => type === "step")).toHaveLength(STEPS);
    });

    test("U21 a step whose sum is lost with the leader is computed again, to the same bits", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      await leader.workUntil("one", stepsAt(leader, 1));
      const standby = await coordinatorOn(hub, "c-1");
      // The head has the next step, and nobody hears of it.
      hub.faults.swap = (node, key) => {
        if (node === "c-0" && key === "head") hub.faults.cut.add("c-0");
        return { done: true, answered: true };
      };
      await leader.workUntil("two", () => leads(standby));
      hub.faults.swap = () => ({ done: true, answered: true });
      await standby.join("three").work(standby.done);
      await expectEnd(standby);
      const records = await readCommitLog(standby.run.directory.path);
      expect(records.map(({ type }) => type).slice(0, 3)).toEqual(["step", "step", "resume"]);
    });

    test("U22 a standby whose parameters are others than were committed is REPLICA_DIVERGED", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      const { store } = await hub.ports("c-2");
      await expect.poll(async () => (await readHead(store)) !== undefined).toBe(true);
      const change = (run: EngineRun): EngineRun => ({
        ...run,
        startTraining: async (state, tag) => {
          for (const values of state.parameters[state.program.passes[0].network].values()) values[0] += 1;
          return startTraining(state, tag);
        },
      });
      const standby = await coordinatorOn(hub, "c-1", { change });
      await leader.workUntil("one", stepsAt(leader, 1));
      await expect(standby.done).rejects.toMatchObject({ code: "REPLICA_DIVERGED" });
    });

    test("U30 one, three and eight gateways, with a standby following, come to the bits of one process", async () => {
      for (const gateways of [1, 3, 8]) {
        const hub = makeHub();
        const leader = await coordinatorOn(hub, "c-0");
        const standby = await coordinatorOn(hub, "c-1");
        for (let i = 0; i < gateways; i++) await gatewayOn(hub, `g-${i}`, leader, 1);
        await expectEnd(leader);
        await expectEnd(standby);
      }
    });

    test("U31 with messages lost, doubled and late a run of gateways comes to the same bits, at the leader and at the standby", async () => {
      const hub = makeHub();
      Object.assign(hub.faults, { lose: 0.1, duplicate: 0.2, delayMs: [0, 30] });
      const leader = await coordinatorOn(hub, "c-0");
      const standby = await coordinatorOn(hub, "c-1");
      for (const id of ["g-0", "g-1"]) await gatewayOn(hub, id, leader);
      await expectEnd(leader);
      await expectEnd(standby);
      expect(await linesOf(standby)).toEqual(await linesOf(leader));
    });

    test("U32 what a leader says that was replaced is no order any more: not its swap, not its leases, not its commits", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      const standby = await coordinatorOn(hub, "c-1");
      const { bus } = await hub.ports("c-2");
      const said: { readonly subject: string; readonly data: Uint8Array }[] = [];
      const orders = ["open", "commit", "stable", "status", "trust", "lease.*", "trim.*", "need.*", "drop.*"];
      const stops = orders.map((kind) => bus.subscribe(`bs.run.${kind}`, (message) => void said.push(message)));
      await bus.flush();
      const crew = [await gatewayOn(hub, "g-0", leader), await gatewayOn(hub, "g-1", leader)];
      await expect.poll(stepsAt(standby, 1), { interval: 5 }).toBe(true);
      hub.faults.cut.add("c-0");
      await expect.poll(() => leads(standby)).toBe(true);
      for (const stop of stops) stop();
      expect(said.length).toBeGreaterThan(0);
      // All of it again, late, among what the new leader says.
      for (const { subject, data } of said) bus.publish(subject, data);
      await expectEnd(standby);
      for (const { gateway } of crew) await expect.poll(() => gateway.status().state).toBe("done");
      hub.faults.cut.clear();
      await expect(leader.done).rejects.toMatchObject({ code: "ENGINE_FENCED" });
      const lines = await linesOf(leader);
      expect((await linesOf(standby)).slice(0, lines.length)).toEqual(lines);
    });

    test("U33 a swap at a revision from before another led is refused, and the head stays", async () => {
      const hub = makeHub();
      const [first, second] = [await hub.ports("c-0"), await hub.ports("c-1")];
      const own = { length: 0, chain: "", step: 0, line: "", before: "", fence: 0, hashAt: () => "" };
      const take = async ({ store }: typeof first, id: string) => {
        const lead = await Lead.take({ store, clock: systemClock, id }, await readLease(store), own);
        if (!(lead instanceof Lead)) throw new Error(`${id} does not lead: ${lead.kind}`);
        onTestFinished(() => lead.release());
        return lead;
      };
      const stale = await take(first, "c-0");
      const lead = await take(second, "c-1");
      expect(lead.epoch).toBe(stale.epoch + 1);
      const record = { length: 1, step: 1, line: "stale", chain: "a", before: "" };
      await expect(stale.commit(record)).rejects.toMatchObject({ code: "ENGINE_FENCED" });
      await lead.commit({ ...record, line: "new", chain: "b" });
      await expect(stale.commit(record)).rejects.toMatchObject({ code: "ENGINE_FENCED" });
      expect(await readHead(first.store)).toMatchObject({ value: { leader: "c-1", line: "new", epoch: lead.epoch } });
    });

    test("U34 where all coordinators are stopped the same folders go on, with the same bits", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      await leader.workUntil("one", stepsAt(leader, 1));
      const standby = await coordinatorOn(hub, "c-1");
      await leader.workUntil("two", stepsAt(leader, 3));
      await expect.poll(stepsAt(standby, 3)).toBe(true);
      await standby.close();
      await leader.close();
      // Whoever stood by begins first.
      const first = await coordinatorOn(hub, "c-1", { resume: standby.run.directory.path });
      await expect.poll(() => leads(first)).toBe(true);
      const second = await coordinatorOn(hub, "c-0", { resume: leader.run.directory.path });
      await first.join("three").work(first.done);
      await expectEnd(first);
      await expectEnd(second);
      expect(await linesOf(second)).toEqual(await linesOf(first));
    });

    test("U35 where somebody removes head or lease by hand both coordinators go on", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      await leader.workUntil("one", stepsAt(leader, 1));
      const standby = await coordinatorOn(hub, "c-1");
      // A leader that has no turn for seconds is replaced meanwhile, as it should be.
      const goesOn = (stage: Stage, step: number) => () => leads(standby) || stepsAt(stage, step)();
      await hub.removeKey("head");
      await leader.workUntil("two", goesOn(leader, 2));
      await expect.poll(goesOn(standby, 2)).toBe(true);
      await hub.removeKey("lease");
      await leader.workUntil("three", goesOn(leader, 3));
      // What it had not heard of, whoever is gone would have alone.
      await expect.poll(goesOn(standby, 3)).toBe(true);
      // Once more, and then its leader is gone.
      await hub.removeKey("head");
      hub.faults.cut.add("c-0");
      await expect.poll(() => leads(standby)).toBe(true);
      await standby.join("four").work(standby.done);
      await expectEnd(standby);
    });

    test("U36 what the operator asks for at a standby or a gateway whoever leads does; with another token, or while nobody leads, that is said at once", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      const standby = await coordinatorOn(hub, "c-1");
      const { gateway } = await gatewayOn(hub, "g-0", leader, 0);
      const { operatorToken, token } = leader.run.directory;
      expect(await standby.engine.operate({ type: "pause" }, operatorToken)).toBe("c-0");
      await expect.poll(() => leader.engine.watch().paused).toBe("yes");
      // Everybody sees it.
      for (const engine of [standby.engine, gateway]) await expect.poll(() => engine.watch().paused).toBe("yes");
      for (const guess of [token, standby.run.directory.dashboardToken, undefined]) {
        await expect(gateway.operate({ type: "go-on" }, guess)).rejects.toMatchObject({ code: "TOKEN_INVALID" });
      }
      expect(leader.engine.watch().paused).toBe("yes");
      expect(await gateway.operate({ type: "go-on" }, operatorToken)).toBe("c-0");
      await expect.poll(() => leader.engine.watch().paused).toBe("no");
      expect(leader.events).toContainEqual({ type: "notice", message: "asked for on the dashboard of g-0: go-on" });
      // The one that stands by ends with it, and does not go on in its place.
      expect(await gateway.operate({ type: "stop" }, operatorToken)).toBe("c-0");
      expect(await leader.done).toMatchObject({ finished: false });
      expect(await standby.done).toMatchObject({ finished: false });
      expect(leads(standby)).toBe(false);
      await leader.close();
      await expect(gateway.operate({ type: "pause" }, operatorToken)).rejects.toMatchObject({
        code: "RUN_UNREACHABLE",
        message: expect.stringContaining("nobody leads the run just now"),
      });
    });

    test("U37 a run that is paused stays so where another leads it", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      const standby = await coordinatorOn(hub, "c-1");
      await standby.engine.operate({ type: "pause" }, leader.run.directory.operatorToken);
      await expect.poll(() => standby.engine.watch().paused).toBe("yes");
      hub.faults.cut.add("c-0");
      await expect.poll(() => leads(standby)).toBe(true);
      await expect.poll(() => standby.engine.status().reason).toContain("paused");
      await standby.engine.operate({ type: "go-on" });
      await standby.join("one").work(standby.done);
      await expectEnd(standby);
    });

    test("U38 a coordinator that begins after the run's end says so: with a copy of it at once, and without one RUN_ENDED", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      await leader.join("one").work(leader.done);
      await expectEnd(leader);
      await leader.close();
      const again = await coordinatorOn(hub, "c-0", { resume: leader.run.directory.path });
      await expectEnd(again);
      await again.close();
      await expect(coordinatorOn(hub, "c-1")).rejects.toMatchObject({
        code: "RUN_ENDED",
        message: expect.stringContaining(`after step ${STEPS}`),
      });
    });

    test("U39 status and watch at a standby and at a gateway are the whole run's, and say who leads", async () => {
      const hub = makeHub();
      const leader = await coordinatorOn(hub, "c-0");
      const standby = await coordinatorOn(hub, "c-1");
      const { gateway, events } = await gatewayOn(hub, "g-0", leader);
      await expect.poll(() => events).toContainEqual(expect.objectContaining({ type: "leads", id: "c-0" }));
      await expect.poll(() => standby.engine.status().reason).toMatch(/c-0 leads, this coordinator follows/);
      await expectEnd(leader);
      await expectEnd(standby);
      await expect.poll(() => gateway.status().state).toBe("done");
      const { step, samples, scores } = leader.engine.status();
      expect(gateway.status()).toMatchObject({ step, samples, scores });
      expect(standby.engine.status()).toMatchObject({ step, samples, scores });
      expect(gateway.watch().pass).toEqual(leader.engine.watch().pass);
    });
  });
}

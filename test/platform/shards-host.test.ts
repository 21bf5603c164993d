// A Deno worker is let through to where a run's shards lie, if that is no machine in its own network.

import { expect, test } from "vitest";
import { parseRunUrl } from "../../worker/platform/node/run-url.ts";
import { shardsHost } from "../../worker/platform/node/shards-host.ts";

const link = parseRunUrl("http://192.0.2.7:8080/run?token=open");
const answering = (body: unknown, asked: string[] = []) =>
  (async (url: string) => {
    asked.push(url);
    return new Response(typeof body === "string" ? body : JSON.stringify(body));
  }) as typeof fetch;

test.each<[unknown, string | undefined]>([
  [{ joinable: true, shardsAt: "https://photos.s3.eu-west-1.amazonaws.com" }, "photos.s3.eu-west-1.amazonaws.com:443"],
  [{ joinable: true, shardsAt: "https://storage.example:9000" }, "storage.example:9000"],
  [{ joinable: true, shardsAt: "http://192.0.2.7:9000" }, "192.0.2.7:9000"],
  [{ joinable: true, shardsAt: "http://192.0.2.7" }, "192.0.2.7:80"],
  [{ joinable: true, shardsAt: "http://192.168.1.1" }, undefined],
  ...["192.168.1.1", "[fd00::1]", "localhost", "router", "nas.local", "wiki.corp"].map((host): [unknown, undefined] => [
    { joinable: true, shardsAt: `https://${host}` },
    undefined,
  ]),
  [{ joinable: true, shardsAt: "no address" }, undefined],
  [{ joinable: true }, undefined],
  [{ code: "RATE_LIMITED", message: "later" }, undefined],
  ["no JSON", undefined],
])("I70 %j lets through to %s", async (answer, host) => {
  const asked: string[] = [];
  expect(await shardsHost(link, answering(answer, asked))).toBe(host);
  expect(asked).toEqual(["http://192.0.2.7:8080/run/joinable?token=open"]);
});

test("I70 where nobody answers, shards are the coordinator's to send", async () => {
  const nobody = (() => Promise.reject(new TypeError("refused"))) as typeof fetch;
  expect(await shardsHost(link, nobody)).toBeUndefined();
});

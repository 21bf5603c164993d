// The manifests of deploy/cluster against the schemas of the Kubernetes API, without a cluster: what a schema has no
// field for is found, too, and what the manifests name of each other is there.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { StatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import { Ingress } from "kubernetes-models/networking.k8s.io/v1/Ingress";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { Service } from "kubernetes-models/v1/Service";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";

const folder = fileURLToPath(new URL("../../deploy/cluster", import.meta.url));
const kinds = { StatefulSet, Ingress, PodDisruptionBudget, Service } as const;

interface Manifest {
  readonly apiVersion: string;
  readonly kind: keyof typeof kinds;
  readonly metadata: { readonly name: string };
}

const manifests = readdirSync(join(folder, "kubernetes")).flatMap((file) =>
  parseAllDocuments(readFileSync(join(folder, "kubernetes", file), "utf8")).map((document) => {
    expect(document.errors, file).toEqual([]);
    return document.toJS() as Manifest;
  }),
);

/** What the schema says of a manifest, and each field it never looked at: the API server drops those in silence. */
function problems(manifest: Manifest): string[] {
  const read = new Map<string, { readonly value: object; readonly fields: Set<string> }>();
  const seen = new WeakMap<object, object>();
  const watched = <T extends object>(value: T, path: string): T => {
    const known = seen.get(value);
    if (known) return known as T;
    const fields = new Set<string>();
    if (!Array.isArray(value)) read.set(path, { value, fields });
    const proxy = new Proxy(value, {
      get(target, field) {
        const part = Reflect.get(target, field);
        if (typeof field === "string") fields.add(field);
        return typeof part === "object" && part !== null ? watched(part, `${path}.${String(field)}`) : part;
      },
    });
    seen.set(value, proxy);
    return proxy;
  };
  const model = new kinds[manifest.kind](manifest as never);
  try {
    model.validate.call(watched(model, manifest.kind));
  } catch (error) {
    return [String(error)];
  }
  return [...read].flatMap(([path, { value, fields }]) =>
    Object.keys(value).flatMap((field) => (fields.has(field) ? [] : [`${path}.${field} is no field`])),
  );
}

describe("the manifests for Kubernetes", () => {
  test.each(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const))(
    "%s is valid by the API's schemas",
    (_name, manifest) => {
      expect(manifest.apiVersion).toBe(kinds[manifest.kind].apiVersion);
      expect(problems(manifest)).toEqual([]);
    },
  );

  test("a wrong type, a missing field and one that the API does not know are found", () => {
    const nats = manifests.find(({ kind }) => kind === "StatefulSet") as Manifest;
    const changed = (change: (spec: Record<string, unknown>) => void) => {
      const copy = structuredClone(nats) as unknown as { readonly spec: Record<string, unknown> };
      change(copy.spec);
      return problems(copy as unknown as Manifest).join();
    };
    expect(changed((spec) => Object.assign(spec, { replicas: "3" }))).toContain("replicas must be integer");
    expect(changed((spec) => delete spec.selector)).toContain("must have required property selector");
    expect(changed((spec) => Object.assign(spec, { replica: 3 }))).toBe("StatefulSet.spec.replica is no field");
  });

  test("servers and two coordinators are StatefulSets, each pod has its own key alone, and kustomize brings every one", () => {
    const sets = Object.fromEntries(
      manifests.filter(({ kind }) => kind === "StatefulSet").map((set) => [set.metadata.name, set as never]),
    ) as Record<
      string,
      { spec: { replicas: number; template: { spec: { volumes: unknown[]; containers: never[] } } } }
    >;
    expect(Object.fromEntries(Object.entries(sets).map(([name, { spec }]) => [name, spec.replicas]))).toEqual({
      nats: 3,
      c: 2,
      g: 3,
    });
    const kustomization = parse(readFileSync(join(folder, "kustomization.yaml"), "utf8")) as {
      readonly resources: string[];
      readonly configMapGenerator: { readonly name: string }[];
      readonly secretGenerator: { readonly name: string; readonly files: string[] }[];
    };
    expect(kustomization.resources.sort()).toEqual(
      readdirSync(join(folder, "kubernetes")).map((file) => `kubernetes/${file}`),
    );
    const secrets = new Map(kustomization.secretGenerator.map(({ name, files }) => [name, files]));
    const named = JSON.stringify(manifests).match(/"secretName":"bitswarm-[a-z]+-keys"/g) ?? [];
    expect(named.map((text) => text.slice(14, -1)).sort()).toEqual([...secrets.keys()].sort());
    for (const [name, secret] of [
      ["c", "bitswarm-coordinator-keys"],
      ["g", "bitswarm-gateway-keys"],
    ]) {
      const keys = Array.from({ length: sets[name].spec.replicas }, (_, index) =>
        ["nk", "pem", "key"].map((kind) => `keys/${name}-${index}.${kind}`),
      );
      expect(secrets.get(secret)).toEqual(["keys/ca.pem", ...keys.flat()]);
      const mounts = (sets[name].spec.template.spec.containers[0] as { volumeMounts: Record<string, unknown>[] })
        .volumeMounts;
      const ofKeys = mounts.filter(({ name: volume }) => volume === "keys");
      expect(ofKeys.map(({ subPath, subPathExpr }) => subPath ?? subPathExpr).sort()).toEqual([
        "$(POD_NAME).key",
        "$(POD_NAME).nk",
        "$(POD_NAME).pem",
        "ca.pem",
      ]);
    }
    for (const file of ["pem", "key"])
      expect(secrets.get("bitswarm-nats-keys")).toEqual(
        expect.arrayContaining([0, 1, 2].map((i) => `keys/nats-${i}.${file}`)),
      );
  });
});

import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Resource } from "../../provider/pulumi/defineResource";
import { lazyResource } from "../../provider/pulumi/lazyResource";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { egressPolicy } from "../../provider/resources/egressPolicy";
import { rules } from "../../provider/resources/rules";
import { sandbox } from "../../provider/resources/sandbox";
import { secret } from "../../provider/resources/secret";
import { volume } from "../../provider/resources/volume";
import { anyLifecycle } from "./anyLifecycle";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const host = fc.constantFrom("a.test", "*.b.test", "c.d.test");
const action = fc.constantFrom("Allow", "Deny");

const labels = fc.dictionary(fc.string({ minLength: 1, maxLength: 30 }), fc.string({ maxLength: 63 }), { maxKeys: 5 });

const egress = fc.record({
  defaultAction: optional(action),
  hostRules: optional(fc.array(fc.record({ pattern: host, action: optional(action) }), { maxLength: 3 })),
  rules: optional(
    fc.array(
      fc.record({
        name: optional(fc.stringMatching(/^[a-z]{1,8}$/)),
        match: fc.record({ host, scheme: fc.constant("http"), methods: optional(fc.constant(["GET"])) }),
        action: fc.record({ type: action }),
      }),
      { maxLength: 3 },
    ),
  ),
  enforcementMode: optional(fc.constantFrom("Enforced", "Audit")),
  trafficInspection: optional(fc.constantFrom("Partial", "Full", "None")),
});

const match = fc.record({ host, normalizePath: optional(fc.boolean()) });
const hookRef = fc.record({
  endpoint: fc.constant("https://hook.test/decide"),
  failBehavior: optional(action),
  requestHeaders: optional(fc.constant(["User-Agent"])),
  timeoutMs: optional(fc.integer({ min: 1, max: 5_000 })),
});
const identityHeader = fc.record({
  operation: fc.constantFrom("Set", "Insert"),
  name: fc.constant("Authorization"),
  valueRef: fc.record({
    managedIdentityRef: fc.record({
      resource: fc.constant("https://vault.test"),
      format: optional(fc.constant("Bearer {value}")),
      type: fc.constant("SystemAssigned"),
    }),
  }),
});
const proxy = fc.record({ url: fc.constant("http://proxy.test:3128"), ca: optional(fc.constant("PEM")) });
/** What only Azure's proxy can do. */
const egressOnAzure = fc.record({
  defaultAction: optional(action),
  rules: optional(
    fc.array(
      fc.oneof(
        fc.record({ match, hookRef }),
        fc.record({
          match,
          action: fc.record({ type: fc.constant("Transform"), headers: fc.array(identityHeader, { maxLength: 2 }) }),
        }),
        fc.record({
          match,
          action: fc.record({
            type: fc.constant("Rewrite"),
            host,
            routingMode: optional(fc.constantFrom("Default", "Vnet", "Platform")),
            forward: optional(fc.constantFrom("direct", "proxy")),
            forwardProxy: optional(proxy),
          }),
        }),
      ),
      { maxLength: 3 },
    ),
  ),
  defaultForward: optional(proxy),
  transportRules: optional(
    fc.record({
      defaultAction: action,
      rules: fc.array(
        fc.record({
          action,
          protocol: fc.constantFrom("Tcp", "Udp"),
          destination: fc.constant("10.1.0.0/16"),
          port: fc.integer({ min: 1, max: 65_535 }),
        }),
        { maxLength: 3 },
      ),
    }),
  ),
  tds: optional(
    fc.record({
      defaultAction: action,
      credentials: fc.constantFrom(
        [],
        [{ name: "sa", kind: "SqlPassword", username: "sa", secretRef: { secretId: "sql", secretKey: "password" } }],
      ),
      rules: fc.array(
        fc.oneof(
          fc.record({ name: fc.constant("db"), match: fc.record({ host }), action: fc.record({ type: action }) }),
          fc.record({ name: fc.constant("asked"), match: fc.record({ host }), hookRef }),
        ),
        { maxLength: 2 },
      ),
    }),
  ),
});

const ports = fc.uniqueArray(
  fc.record({
    port: fc.integer({ min: 1, max: 65_535 }),
    auth: fc.constant({ anonymous: true }),
    activationMode: optional(fc.constantFrom("Manual", "OnDemand")),
    protocol: optional(fc.constant("Http")),
    cors: optional(
      fc.record({ allowOrigins: optional(fc.constant(["https://a.test"])), maxAge: optional(fc.nat(60)) }),
    ),
  }),
  { selector: ({ port }) => port, maxLength: 3 },
);

const cases: [Resource, PropertyBag, fc.Arbitrary<PropertyBag>][] = [
  [
    secret,
    { __logicalName: "x" },
    fc.record({ values: fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { minKeys: 1, maxKeys: 4 }) }),
  ],
  [
    egressPolicy,
    { __logicalName: "x" },
    fc
      .tuple(egress, optional(fc.string({ minLength: 1 })))
      .map(([policy, description]) => ({ ...policy, description })),
  ],
  [
    sandbox,
    { image: "python" },
    fc.record({ ports: optional(ports), egress: optional(egress), lifecycle: optional(anyLifecycle) }),
  ],
  // A size that becomes smaller is refused.
  [volume, { __logicalName: "x", type: "DataDisk", size: "1Gi" }, fc.record({ labels: optional(labels) })],
  [volume, { __logicalName: "x", type: "AzureBlob" }, fc.record({ labels: optional(labels) })],
];

const onAzure: typeof cases = [
  [egressPolicy, { __logicalName: "x" }, egressOnAzure],
  [sandbox, { image: "python" }, fc.record({ egress: optional(egressOnAzure) })],
];

const places: [string, () => Promise<ResourceHost | ResourceAzure>][] = [
  ["a host", () => new ResourceHost().start()],
  ["Azure, 2026-02-01-preview", () => ResourceAzure.start("2026-02-01-preview")],
  ["Azure, 2026-09-01-preview", () => ResourceAzure.start("2026-09-01-preview")],
];

describe.each(places)("whatever is declared on %s", (name, open) => {
  let place: ResourceHost | ResourceAzure;
  let session: Session;
  let group: Existing;

  beforeAll(async () => {
    place = await open();
    session = place.session();
    group = await place.group(session);
  });
  afterAll(() => place.close());

  it.each([...cases, ...(name === "a host" ? [] : onAzure)])(
    "$token: goes in, is read back, diffs to nothing; of many changes the last one holds",
    async (...each) => {
      const [resource, common, anything] = each;
      const whole = (news: PropertyBag) => ({ __key: keyOf("x"), group: group.id, ...common, ...news });
      const checked = (news: PropertyBag) => inputsOf(resource, session, whole(news));
      const late = lazyResource(rules[resource.token as keyof typeof rules], async () => resource);
      const run = async (all: PropertyBag[]) => {
        const [first, ...later] = all.map(checked);
        const { id, state: created } = await make(resource, session, first!);
        let state = created;
        for (const news of later) state = await resource.update(session, id, state, news);
        // What is found without the definition, where it need not be loaded, is what the definition finds.
        for (const news of all) {
          const olds = checked(all[0]!);
          expect(await late.check(session, olds, whole(news))).toEqual(resource.check(session, olds, whole(news)));
          const difference = resource.diff(session, id, state, checked(news));
          expect(await late.diff(session, id, state, checked(news))).toEqual(difference);
        }
        const found = await resource.read(session, id, state);
        expect(found?.state).toEqual(state);
        expect(resource.diff(session, id, found?.state ?? {}, checked(all.at(-1)!)).changes).toEqual([]);
        await resource.delete(session, id, state);
      };
      await fc.assert(fc.asyncProperty(fc.array(anything, { minLength: 1, maxLength: 3 }), run), { numRuns: 30 });
    },
  );
});

import { z } from "zod";

const text = z.string().min(1);

const secretRef = { secretId: text.describe("name of a Secret of the group"), secretKey: text };

const common = {
  data: z.array(z.enum(["ContainerStdoutStderr", "ContainerOtel", "Metrics", "NetworkEgressDecisions"])).min(1),
  columns: z
    .record(
      text,
      z.discriminatedUnion("kind", [
        z.strictObject({ kind: z.literal("Value"), value: z.string() }),
        z.strictObject({
          kind: z.literal("Ref"),
          refName: z.enum(["LogContent", "LogStream", "SandboxId", "Region", "ContainerName"]),
        }),
      ]),
    )
    .optional(),
  dynamicJsonColumns: z.boolean().optional(),
};

const identity = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("ManagedIdentity"), identity: text.describe("ARM id") }),
  z.strictObject({ kind: z.literal("SystemAssignedManagedIdentity") }),
]);

const endpoint = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("OTLP"),
    endpoint: z.url(),
    protocol: z.enum(["Grpc", "Http"]),
    auth: z.strictObject({ headerName: text, ...secretRef }).optional(),
    ...common,
  }),
  z.strictObject({ kind: z.literal("ApplicationInsights"), auth: z.strictObject(secretRef), ...common }),
  z.strictObject({
    kind: z.literal("LogAnalytics"),
    dceEndpoint: z.url(),
    dcrImmutableId: text,
    tableName: text,
    auth: identity,
    ...common,
  }),
  z.strictObject({
    kind: z.literal("LogAnalyticsLegacy"),
    workspaceId: text,
    tableName: text,
    auth: z.discriminatedUnion("kind", [
      z.strictObject({ kind: z.literal("GlobalSecret"), ...secretRef }),
      z.strictObject({ kind: z.literal("AppSecret"), secretRef: text }),
    ]),
    ...common,
  }),
]);

/** Where a sandbox's output and measurements go. Credentials are named, never given. */
export const telemetryInput = z
  .strictObject({
    endpoints: z.array(endpoint).min(1),
    metricsIntervalSeconds: z.int().min(2).describe("default 15").optional(),
  })
  .describe("where output and measurements go: {endpoints: [{kind: OTLP, ApplicationInsights, LogAnalytics, …}]}");

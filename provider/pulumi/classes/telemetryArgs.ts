/** Where a sandbox's output and measurements go. Azure only. */
export interface TelemetryConfig {
  endpoints: TelemetryEndpoint[];
  /** Default 15. */
  metricsIntervalSeconds?: number;
}

export type TelemetryEndpoint = TelemetryData &
  (
    | { kind: "OTLP"; endpoint: string; protocol: "Grpc" | "Http"; auth?: { headerName: string } & SecretValue }
    | { kind: "ApplicationInsights"; auth: SecretValue }
    | { kind: "LogAnalytics"; dceEndpoint: string; dcrImmutableId: string; tableName: string; auth: TelemetryIdentity }
    | {
        kind: "LogAnalyticsLegacy";
        workspaceId: string;
        tableName: string;
        auth: ({ kind: "GlobalSecret" } & SecretValue) | { kind: "AppSecret"; secretRef: string };
      }
  );

export interface TelemetryData {
  data: ("ContainerStdoutStderr" | "ContainerOtel" | "Metrics" | "NetworkEgressDecisions")[];
  columns?: Record<
    string,
    | { kind: "Value"; value: string }
    | { kind: "Ref"; refName: "LogContent" | "LogStream" | "SandboxId" | "Region" | "ContainerName" }
  >;
  /** Keys of JSON lines become columns. */
  dynamicJsonColumns?: boolean;
}

type TelemetryIdentity = { kind: "ManagedIdentity"; identity: string } | { kind: "SystemAssignedManagedIdentity" };

/** One value of a `Secret` of the group. */
interface SecretValue {
  secretId: string;
  secretKey: string;
}

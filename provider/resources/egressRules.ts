import { z } from "zod";
import { parseCidr } from "../client/wire/addressRanges";
import { isBag } from "../pulumi/propertyBag";

const text = z.string().min(1);
const routingMode = z.enum(["Default", "Vnet", "Platform"]).optional();
const secretRef = z.strictObject({
  secretId: z.string().describe("name of a Secret of the group"),
  secretKey: z.string().describe("which of its values; not needed where it has one").optional(),
  format: z.string().describe('"Bearer {value}"').optional(),
});

const header = z.strictObject({
  operation: z.enum(["Set", "Insert", "Remove"]),
  name: text,
  value: z.string().describe("what stands here is seen in the state: take valueRef for secrets").optional(),
  valueRef: z
    .strictObject({
      secretRef: secretRef.optional(),
      managedIdentityRef: z
        .strictObject({
          resource: text.describe("whom the token is for"),
          format: z.string().describe('"Bearer {value}"').optional(),
          type: z.enum(["SystemAssigned", "UserAssigned"]).optional(),
          identityResourceId: text.describe("ARM id, with type UserAssigned").optional(),
        })
        .optional(),
    })
    .refine(
      ({ secretRef, managedIdentityRef }) => (secretRef === undefined) !== (managedIdentityRef === undefined),
      "give one of secretRef and managedIdentityRef",
    )
    .optional(),
});

/** Another proxy that requests go through. */
export const forwardProxyInput = z.strictObject({
  url: z
    .url()
    .refine((url) => !hasCredentials(url), "no user and password here: what stands here is seen in the state"),
  ca: text.describe("certificates of who signed the proxy's, PEM").optional(),
});

const hook = z.strictObject({
  endpoint: text.describe("is asked about each request that matches"),
  failBehavior: z.enum(["Deny", "Allow"]).describe("what holds when it does not answer").optional(),
  requestHeaders: z.array(text).describe("names of those that it is told").optional(),
  authHeaders: z.array(header).describe("sent to it").optional(),
  timeoutMs: z.int().min(1).optional(),
  routingMode,
});

const actionXorHook = ({ action, hookRef }: { action?: unknown; hookRef?: unknown }) =>
  (action === undefined) !== (hookRef === undefined);

/** One rule for HTTP. */
export const egressRule = z
  .strictObject({
    name: text.optional(),
    match: z.strictObject({
      host: text.describe("api.example.com or *.example.com"),
      path: z.string().optional(),
      methods: z.array(z.string()).optional(),
      scheme: z.enum(["http", "https", "any"]).optional(),
      normalizePath: z.boolean().describe("false: paths are compared as they are written; default true").optional(),
    }),
    action: z
      .strictObject({
        type: z.enum(["Allow", "Deny", "Transform", "Rewrite"]),
        headers: z.array(header).optional(),
        scheme: z.enum(["http", "https"]).optional(),
        host: z.string().optional(),
        path: z.string().optional(),
        routingMode,
        forward: z.enum(["direct", "proxy"]).optional(),
        forwardProxy: forwardProxyInput.optional(),
      })
      .optional(),
    hookRef: hook.optional(),
  })
  .refine(actionXorHook, "give one of action and hookRef");

const verdict = z.enum(["Allow", "Deny"]);

/** What of TCP and UDP may leave. */
export const transportRulesInput = z
  .strictObject({
    defaultAction: verdict,
    rules: z
      .array(
        z.strictObject({
          action: verdict,
          protocol: z.enum(["Tcp", "Udp"]),
          destination: z.string().refine((range) => parseCidr(range)?.family === "ipv4", "write an IPv4 range"),
          port: z.int().min(1).max(65_535),
        }),
      )
      .max(10, "at most 10 rules"),
  })
  .describe("TCP and UDP beside HTTP: {defaultAction, rules: [{action, protocol, destination, port}]}; DNS is open");

/** What of SQL Server's protocol may leave, and as whom. */
export const tdsInput = z
  .strictObject({
    defaultAction: verdict,
    credentials: z.array(
      z.strictObject({
        name: text,
        kind: z.enum(["SqlPassword", "EntraToken"]),
        username: text.optional(),
        secretRef: secretRef.optional(),
      }),
    ),
    rules: z.array(
      z
        .strictObject({
          name: text,
          match: z.strictObject({ host: text, databases: z.array(text).optional() }),
          action: z.strictObject({ type: verdict, credential: text.optional() }).optional(),
          hookRef: hook.optional(),
        })
        .refine(actionXorHook, "give one of action and hookRef"),
    ),
  })
  .describe("SQL Server's protocol: {defaultAction, credentials: [{name, kind, username, secretRef}], rules}");

/** Whether rules ask for what only Azure's proxy can do. */
export function asksMoreOfRules(rules: unknown): boolean {
  const isMore = (rule: unknown) => {
    if (!isBag(rule)) return false;
    const { match, action, hookRef } = rule;
    const { routingMode, forward, forwardProxy, headers } = isBag(action) ? action : {};
    const isIdentity = (each: unknown) =>
      isBag(each) && isBag(each.valueRef) && each.valueRef.managedIdentityRef !== undefined;
    return (
      hookRef !== undefined ||
      (isBag(match) && match.normalizePath === false) ||
      (routingMode !== undefined && routingMode !== "Default") ||
      (forward !== undefined && forward !== "direct") ||
      forwardProxy !== undefined ||
      (Array.isArray(headers) && headers.some(isIdentity))
    );
  };
  return Array.isArray(rules) && rules.some(isMore);
}

function hasCredentials(url: string): boolean {
  const { username, password } = new URL(url);
  return username !== "" || password !== "";
}

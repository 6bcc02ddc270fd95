import { z } from "zod";
import { cidr } from "./addressRanges";

/** Azure's limits; its own SDK checks the same ones. */
const limits = { rules: 10, cidrsPerRule: 10, maxPriority: 1000, authEntries: 100 };

const action = z.enum(["Allow", "Deny"]);

/** Who may call by source address: rules by rising priority, the first that matches decides. */
export const ipAccessControl = z.looseObject({
  defaultAction: action,
  rules: z
    .array(
      z.looseObject({
        name: z.string().regex(/^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/, "use letters, digits, inner dashes"),
        action,
        priority: z.int().min(0).max(limits.maxPriority),
        sourceCidrs: z.array(cidr).min(1).max(limits.cidrsPerRule),
      }),
    )
    .max(limits.rules)
    .nullish(),
});
export type IpAccessControl = z.output<typeof ipAccessControl>;

const strings = z.array(z.string()).nullish();

/** Answered by the host itself, in place of what the program in the sandbox says. */
export const portCors = z
  .looseObject({
    allowOrigins: strings,
    allowMethods: strings,
    allowHeaders: strings,
    allowCredentials: z.boolean().nullish(),
    /** Seconds. */
    maxAge: z.int().min(0).nullish(),
  })
  .refine(
    (cors) => !(cors.allowCredentials && cors.allowOrigins?.includes("*")),
    "credentials for every origin would open the port to any web page: name the origins",
  );
export type PortCors = z.output<typeof portCors>;

const identities = z
  .looseObject({
    enabled: z.boolean().nullish(),
    emails: strings,
    emailSuffixes: strings,
    objectIds: strings,
    tenantIds: strings,
    usernames: strings,
    usernameSuffixes: strings,
  })
  .refine(
    (provider) =>
      Object.values(provider).flatMap((value) => (Array.isArray(value) ? value : [])).length <= limits.authEntries,
    `at most ${limits.authEntries} entries`,
  );

/** `{anonymous: true}`, or else: who may in. Self-hosted, without a provider: who has the host's token. */
export const portAuth = z.looseObject({
  anonymous: z.boolean().nullish(),
  entraId: identities.nullish(),
  github: identities.nullish(),
});
export type PortAuth = z.output<typeof portAuth>;

const number = z.int("a port is a whole number").min(1, "a port is 1 to 65535").max(65_535, "a port is 1 to 65535");

const portShape = {
  name: z.string().nullish(),
  port: number,
  /** `OnDemand` resumes a stopped sandbox, `Manual` (default) answers 403. */
  activationMode: z.enum(["Manual", "OnDemand"]).nullish(),
  protocol: z.enum(["Http", "Http2"]).nullish(),
  ipAccessControl: ipAccessControl.nullish(),
  cors: portCors.nullish(),
};

/** A port as it is declared. Views are taken too: clients send back what they read. */
export const createPort = z.looseObject({ ...portShape, auth: portAuth.nullish() }).superRefine(({ auth }, context) => {
  // Not a refinement of `auth` itself, which is not asked where the key is missing.
  if (!auth) context.addIssue({ code: "custom", path: ["auth"], message: "say who may call: {anonymous: true}?" });
});
export interface CreatePort {
  name?: string | null;
  port: number;
  auth?: { anonymous?: boolean | null } & Record<string, unknown>;
  activationMode?: "Manual" | "OnDemand" | null;
  protocol?: "Http" | "Http2" | null;
  ipAccessControl?: IpAccessControl | null;
  cors?: PortCors | null;
}

/** `PUT …/ports`: replaces all. */
export const replacePorts = z.looseObject({ ports: z.array(createPort) });
/** `PATCH …/ports`: merges into the port of that number or name. */
export const patchPort = z.looseObject({ ...portShape, port: number.nullish(), auth: portAuth.nullish() });
/** `POST …/ports/remove`, by number or name. */
export const removePort = z.looseObject({ port: number.nullish(), name: z.string().nullish() });

export const portView = z.looseObject({
  name: z.string().nullish(),
  port: z.number(),
  /** Reachable as it is, without a slash at its end. */
  url: z.string().nullish(),
  auth: portAuth.nullish(),
  activationMode: z.string().nullish(),
  protocol: z.string().nullish(),
  ipAccessControl: z.looseObject({ defaultAction: z.string().nullish() }).nullish(),
  cors: z.looseObject({}).nullish(),
});
export type PortView = z.output<typeof portView>;

/** `{ports}`, a bare array or a single port: services were seen to answer each. Reads to `{ports}`. */
export const portsView = z.preprocess(
  (body) => {
    if (Array.isArray(body)) return { ports: body };
    const isPort = typeof body === "object" && body !== null && "port" in body && !("ports" in body);
    return isPort ? { ports: [body] } : body;
  },
  z.looseObject({ ports: z.array(portView).nullish() }).transform(({ ports }) => ({ ports: ports ?? [] })),
);

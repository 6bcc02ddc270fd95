import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import type { DeepInput } from "./deepInput";
import type { DiskImage } from "./diskImage";

/** Several containers in one sandbox. Azure only. */
export interface PodArgs {
  containers: pulumi.Input<pulumi.Input<PodContainerArgs>[]>;
  volumes?: DeepInput<PodVolume[]>;
  contentPackages?: DeepInput<{ contentPackageId: string }[]>;
  securityContext?: DeepInput<
    UserContext & {
      supplementalGroups?: number[];
      fsGroup?: number;
      fsGroupChangePolicy?: "OnRootMismatch" | "Always" | "None";
    }
  >;
  restartPolicy?: pulumi.Input<"Always" | "OnFailure" | "Never">;
}

export interface PodContainerArgs {
  /** 1 to 63 small letters, digits and inner dashes. */
  name: pulumi.Input<string>;
  /** An image of the group, its id, or a catalogue name. */
  image?: pulumi.Input<DiskImage | string>;
  /** Instead of `image`. */
  artifactVersion?: DeepInput<{ id: string; identity: string }>;
  command?: DeepInput<string[]>;
  args?: DeepInput<string[]>;
  /** Kept secret. */
  env?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  resources?: DeepInput<{ cpu?: string | number; memory?: string; disk?: string }>;
  /** Of the pod's `volumes`, by name. */
  volumeMounts?: DeepInput<{ name: string; mountPath: string; readOnly?: boolean }[]>;
  contentPackageDownloads?: DeepInput<ContentPackageDownload[]>;
  securityContext?: DeepInput<ContainerContext>;
  startupProbe?: DeepInput<ContainerProbe>;
  livenessProbe?: DeepInput<ContainerProbe>;
  readinessProbe?: DeepInput<ContainerProbe>;
}

export type PodVolume =
  | { kind: "AzureBlob" | "AzureBlobByo"; name: string; fileCacheSizeLimit: string; readOnly?: boolean }
  | { kind: "Local"; name: string; size: string }
  | { kind: "DataDisk"; name: string };

/** Files of a content package of the group, and where they are to be. */
export interface ContentPackageDownload {
  contentPackageId: string;
  /** Absolute path in the sandbox. */
  targetPath: string;
  /** `Mount`: read-only, of zip archives. Default `Download`. */
  action?: "Download" | "Mount";
}

export interface ContainerProbe {
  httpGet?: {
    port: number;
    path?: string;
    host?: string;
    scheme?: string;
    httpHeaders?: { name: string; value: string }[];
  };
  exec?: { command: string[] };
  tcpSocket?: { port: number; host?: string };
  initialDelaySeconds?: number;
  periodSeconds?: number;
  timeoutSeconds?: number;
  failureThreshold?: number;
  successThreshold?: number;
  terminationGracePeriodSeconds?: number;
}

interface UserContext {
  runAsUser?: number;
  runAsGroup?: number;
  runAsNonRoot?: boolean;
}

export interface ContainerContext extends UserContext {
  privileged?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
  allowPrivilegeEscalation?: boolean;
  readOnlyRootFilesystem?: boolean;
  seccompProfile?: { type: "RuntimeDefault" | "Unconfined" };
}

/** The same with ids in place of images and environments kept secret. What is known stays known while ids are not. */
export function podProps(pod: pulumi.Input<PodArgs>): pulumi.Input<object> {
  return whenKnown(pod, (given) => ({
    ...given,
    containers: given.containers && whenKnown(given.containers, (all) => all.map((each) => whenKnown(each, container))),
  }));
}

function container({ image, env, ...plain }: PodContainerArgs): object {
  return { ...plain, image: image && resourceId(image), env: env && pulumi.secret(env) };
}

/** What stands in the program is turned at once; an output once it is there. */
function whenKnown<T>(given: pulumi.Input<T>, turn: (value: T) => object): pulumi.Input<object> {
  const isLater = pulumi.Output.isInstance(given) || given instanceof Promise;
  if (!isLater) return turn(given as T);
  return pulumi.output(given).apply((value) => pulumi.output(turn(value as T)));
}

// One program for two stacks, which differ in one value, `sandboxes:target`:
//   pulumi up --stack local    microVMs of a host on this machine
//   pulumi up --stack azure    Azure Container Apps sandboxes; wants the resource group, and ARM_SUBSCRIPTION_ID
import { EgressPolicy, Sandbox, SandboxGroup } from "pulumi-sandboxes";

const group = new SandboxGroup("agents", { tags: { team: "agents" } });

// Said in full, since an absent policy lets nothing out of a host's sandboxes and everything out of Azure's.
const packages = new EgressPolicy("packages", {
  group,
  hostRules: [{ pattern: "pypi.org" }, { pattern: "files.pythonhosted.org" }],
});

// A public image that both have; sizes that both can give.
const worker = new Sandbox("worker", {
  group,
  image: "python",
  cpu: 1,
  memory: "2Gi",
  labels: { role: "worker" },
  egressPolicy: packages,
});

export const target = group.target;
export const groupId = group.id;
export const sandboxId = worker.sandboxId;

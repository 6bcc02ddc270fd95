import { createMemoryDriver } from "../../../../provider/host/vm/memory";
import { findContainment } from "../../../../provider/host/vm/memory/container";
import { makeControlGroup, removeControlGroup } from "../../../../provider/host/vm/memory/controlGroup";
import { describeDriver } from "../driverContract";

async function mixesFiles(): Promise<string | undefined> {
  return (await findContainment()) === "namespaces" ? undefined : "this machine grants no namespaces";
}

async function losesDaemons(): Promise<string | undefined> {
  const probe = "/probe/of/the/in-process/driver";
  const group = await makeControlGroup(probe);
  await removeControlGroup(probe);
  return group ? mixesFiles() : "this machine grants no control groups";
}

describeDriver("the in-process driver", {
  createDriver: (dataDirectory) => createMemoryDriver({ dataDirectory }),
  createSpec: async () => ({
    rootfsPath: "/unused",
    rootfsDigest: "sha256:0",
    vcpus: 1,
    memoryMiB: 256,
    diskMiB: 256,
  }),
  isMachine: false,
  mixesFiles,
  losesDaemons,
});

import { createMemoryDriver } from "../../../../provider/host/vm/memory";
import { findContainment } from "../../../../provider/host/vm/memory/container";
import { makeControlGroup, removeControlGroup } from "../../../../provider/host/vm/memory/controlGroup";
import { describeDriver } from "../driverContract";

const isContained = (await findContainment()) === "namespaces";
const probe = "/probe/of/the/in-process/driver";
const hasControlGroups = (await makeControlGroup(probe)) !== undefined;
await removeControlGroup(probe);

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
  keepsFilesApart: isContained,
  findsDaemons: isContained && hasControlGroups,
});

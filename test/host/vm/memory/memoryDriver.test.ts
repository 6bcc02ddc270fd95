import { createMemoryDriver } from "../../../../provider/host/vm/memory";
import { describeDriver } from "../driverContract";

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
});

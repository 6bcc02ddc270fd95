import { createQemuDriver } from "../../../../provider/host/vm/qemu";
import { busyboxRootfs } from "../busyboxRootfs";
import { describeDriver } from "../driverContract";

describeDriver("the QEMU driver", {
  createDriver: (dataDirectory) => createQemuDriver({ dataDirectory }),
  createSpec: async () => ({ ...(await busyboxRootfs()), vcpus: 1, memoryMiB: 256, diskMiB: 256 }),
  isMachine: true,
});

import { createQemuDriver } from "../../../provider/host/vm/qemu";
import { BusyboxShelf } from "../fakes/busyboxShelf";
import { RunningHost } from "../fakes/runningHost";
import { busyboxRootfs } from "../vm/busyboxRootfs";
import { lostGuestScenarios } from "./scenarios";

lostGuestScenarios("a host of virtual machines", async () => {
  const host = new RunningHost();
  const driver = await createQemuDriver({ dataDirectory: host.dataDir });
  await host.start({ driver, images: new BusyboxShelf(await busyboxRootfs()) });
  const close = async () => {
    await host.server.stop({ stopSandboxes: true });
    await host.close();
  };
  return { host, driver, close };
});

import { createQemuDriver } from "../../provider/host/vm/qemu";
import { connect } from "../../provider/runtime";
import { BusyboxShelf } from "../host/fakes/busyboxShelf";
import { RunningHost } from "../host/fakes/runningHost";
import { busyboxRootfs } from "../host/vm/busyboxRootfs";
import { runtimeScenarios } from "./scenarios";

runtimeScenarios("a host of virtual machines", async () => {
  const host = new RunningHost();
  const driver = await createQemuDriver({ dataDirectory: host.dataDir });
  await host.start({ driver, images: new BusyboxShelf(await busyboxRootfs()) });
  const group = await connect({ endpoint: `unix:${host.socket}` });
  const close = async () => {
    await group.close();
    await host.server.stop({ stopSandboxes: true });
    await host.close();
  };
  return { group, image: "ubuntu", close };
});

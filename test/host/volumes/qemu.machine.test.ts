import { createQemuDriver } from "../../../provider/host/vm/qemu";
import { BusyboxShelf } from "../fakes/busyboxShelf";
import { busyboxRootfs } from "../vm/busyboxRootfs";
import { volumeScenarios } from "./scenarios";

volumeScenarios("virtual machines", {
  canSave: true,
  createDriver: (dataDirectory) => createQemuDriver({ dataDirectory }),
  images: async () => new BusyboxShelf(await busyboxRootfs()),
});

import { createQemuDriver } from "../../provider/host/vm/qemu";
import { connect } from "../../provider/runtime";
import { RunningHost } from "../host/fakes/runningHost";
import { Shelf } from "../host/fakes/shelf";
import { busyboxRootfs, type TestRootfs } from "../host/vm/busyboxRootfs";
import { runtimeScenarios } from "./scenarios";

/** Every image is the smallest one that has a shell. */
class BusyboxShelf extends Shelf {
  readonly #rootfs: TestRootfs;

  constructor(rootfs: TestRootfs) {
    super();
    this.#rootfs = rootfs;
    this.config = { ...this.config, env: { PATH: "/bin" }, cmd: [] };
  }

  override async import(...parameters: Parameters<Shelf["import"]>) {
    const image = { ...(await super.import(...parameters)), ...this.#rootfs };
    this.images.set(image.digest, image);
    return image;
  }
}

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

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createCatalogue, createImageStore } from "../../provider/host/images";
import { createQemuDriver } from "../../provider/host/vm/qemu";
import { startRegistry, type TestRegistry } from "../host/images/testRegistry";
import { pushBusybox } from "./pushBusybox";
import { runPython } from "./pythonSdk";
import { pythonScenarios } from "./scenarios";
import { SdkHost } from "./sdkHost";

const host = new SdkHost();
let registry: TestRegistry;
let image: string;

beforeAll(async () => {
  registry = await startRegistry();
  image = `${registry.host}/tools:1.0`;
  await pushBusybox(image);
  const catalogue = createCatalogue({ ubuntu: image });
  await host.start({
    driver: await createQemuDriver({ dataDirectory: host.dataDir }),
    images: createImageStore({ dataDir: host.dataDir, catalogue }),
  });
});

afterAll(async () => {
  await host.close();
  await registry.close();
});

describe("Azure's Python SDK, on virtual machines", () => {
  pythonScenarios("life", host, () => ({ REGISTRY_IMAGE: image }));
  pythonScenarios("programs", host);
});

describe.each(["sync", "async"])("every public method of the %s clients", (kind) => {
  it("works, or says why not", async () => {
    const outcomes = JSON.parse(await runPython(["every_method.py", kind], host, { REGISTRY_IMAGE: image }));
    expect(outcomes).toEqual(everyMethod);
  });
});

const works = (...names: string[]) => Object.fromEntries(names.map((name) => [name, "works"]));

/** "works", or the code by which the host refuses what only Azure has. */
const everyMethod = {
  SandboxGroupManagementClient: {
    ...works("begin_create_group", "begin_delete_group", "begin_patch_group_identity", "close", "create_group"),
    ...works("delete_group", "delete_vnet_connection", "get_group", "list_groups", "patch_group_identity"),
    create_or_update_vnet_connection: "NotSupported",
    "create_group:identity": "NotSupported",
  },
  SandboxGroupClient: {
    ...works("begin_create_disk_image", "begin_delete_disk_image", "create_disk_image", "delete_disk_image"),
    ...works("get_disk_image", "get_public_disk_image", "list_disk_images", "list_public_disk_images"),
    ...works("begin_create_sandbox", "begin_delete_sandbox", "delete_sandbox", "get_sandbox", "get_sandbox_client"),
    ...works("list_sandboxes", "begin_delete_snapshot", "delete_snapshot", "get_snapshot", "list_snapshots"),
    ...works("begin_delete_volume", "create_volume", "create_volume:DataDisk", "delete_volume", "get_volume"),
    ...works("list_volumes", "delete_secret", "list_secret_keys", "list_secrets", "peek_secret", "upsert_secret"),
    ...works("close"),
    "begin_create_sandbox:preset": "NotSupported",
    "create_disk_image:identity": "NotSupported",
  },
  SandboxClient: {
    ...works("get", "exec", "get_stats", "begin_delete", "delete", "close", "ensure_running", "wait_for_running"),
    ...works("begin_stop", "stop", "begin_resume", "resume", "begin_create_snapshot", "create_snapshot"),
    ...works("begin_commit", "commit", "set_lifecycle_policy", "add_volume_mount"),
    ...works("delete_file", "list_files", "mkdir", "read_file", "stat_file", "write_file"),
    ...works("add_port", "remove_port", "update_ports"),
    ...works("add_egress_host_rule", "get_egress_decisions", "get_egress_policy", "set_egress_default"),
    ...works("set_egress_policy"),
    "add_port:email": "NotSupported",
    ...works("add_egress_transform_rule", "add_egress_rewrite_rule"),
  },
};

"""Calls every public method of the SDK's clients once, in an order in which each can succeed: every_method.py sync|async.

Prints one JSON object: for each client and method "works", or the code of the host's refusal; what no call below is for
is "never called". Some methods are called a second time for what only Azure has; these have a word after a colon.
"""

import asyncio
import inspect
import json
import os
import sys

from azure.containerapps.sandbox import (
    AddPortRequest,
    AddVolumeMountRequest,
    AutoSuspendPolicy,
    EgressHeader,
    EgressPolicy,
    LifecyclePolicy,
    PortAuthConfig,
)
from azure.core.exceptions import HttpResponseError
from host import async_data_plane, async_management, data_plane, management, new_name, often, size

registry = os.environ["REGISTRY_IMAGE"]
subnet = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
public = AddPortRequest(port=8080, auth=PortAuthConfig(anonymous=True))


async def settled(value):
    """The same for both kinds of clients: awaits, polls to the end, reads every page."""
    if inspect.isawaitable(value):
        value = await value
    if hasattr(value, "polling_method"):
        return await settled(value.result())
    if hasattr(value, "__anext__"):
        return [each async for each in value]
    if hasattr(value, "by_page"):
        return list(value)
    return value


class Calls:
    def __init__(self):
        self.outcomes = {}

    async def __call__(self, client, call, /, *arguments, **options):
        method, _, _ = call.partition(":")
        try:
            result = await settled(getattr(client, method)(*arguments, **options))
            outcome = "works"
        except HttpResponseError as error:
            result, outcome = None, error.error.code if error.error else f"{error.status_code} without a code"
        self.outcomes.setdefault(type(client).__name__, {})[call] = outcome
        return result

    def never_called(self, client):
        found = self.outcomes.setdefault(type(client).__name__, {})
        for name, value in inspect.getmembers(type(client)):
            if not name.startswith("_") and callable(value):
                found.setdefault(name, "never called")


async def walk(call, groups, group_client):
    name, other = new_name(), new_name()
    await call(groups, "begin_create_group", name, "local", **often)
    await call(groups, "create_group", other, "local", tags={"a": "b"})
    await call(groups, "create_group:identity", new_name(), "local", identity={"type": "SystemAssigned"})
    await call(groups, "get_group", name)
    await call(groups, "list_groups")
    await call(groups, "patch_group_identity", name, {"type": "None"})
    await call(groups, "begin_patch_group_identity", name, {"type": "None"}, **often)
    await call(groups, "create_or_update_vnet_connection", name, "v", subnet)
    await call(groups, "delete_vnet_connection", name, "v")

    group = group_client(name)
    image = await call(group, "begin_create_disk_image", registry, **often)
    await call(group, "create_disk_image", registry, name="second")
    await call(group, "create_disk_image:identity", registry, managed_identity_resource_id="/subscriptions/s")
    await call(group, "get_disk_image", image.id)
    await call(group, "list_disk_images")
    await call(group, "list_public_disk_images")
    await call(group, "get_public_disk_image", "ubuntu")
    await call(group, "create_volume", "shared")
    await call(group, "create_volume:DataDisk", "disk", type="DataDisk", size="16Mi")
    await call(group, "get_volume", "shared")
    await call(group, "list_volumes")
    await call(group, "upsert_secret", "api", {"key": "value"})
    await call(group, "list_secrets")
    await call(group, "list_secret_keys", "api")
    await call(group, "peek_secret", "api")
    await call(group, "delete_secret", "api")
    sandbox = await call(group, "begin_create_sandbox", disk_id=image.id, **size, **often)
    await call(group, "begin_create_sandbox:preset", preset="Claude")
    await call(group, "get_sandbox", sandbox.sandbox_id)
    await call(group, "get_sandbox_client", sandbox.sandbox_id)
    await call(group, "list_sandboxes", labels={"no": "such"})

    await call(sandbox, "get")
    await call(sandbox, "exec", "true")
    await call(sandbox, "write_file", "/tmp/file", "text")
    await call(sandbox, "read_file", "/tmp/file")
    await call(sandbox, "stat_file", "/tmp/file")
    await call(sandbox, "list_files", "/tmp")
    await call(sandbox, "mkdir", "/tmp/folder")
    await call(sandbox, "delete_file", "/tmp/file")
    await call(sandbox, "get_stats")
    await call(sandbox, "add_port", 8080, anonymous=True)
    await call(sandbox, "add_port:email", 8081, email="a@b.example")
    await call(sandbox, "update_ports", [public])
    await call(sandbox, "remove_port", 8080)
    await call(sandbox, "get_egress_policy")
    await call(sandbox, "set_egress_policy", EgressPolicy(default_action="Deny"))
    await call(sandbox, "set_egress_default", "Deny")
    await call(sandbox, "add_egress_host_rule", "*.example")
    await call(sandbox, "add_egress_transform_rule", "a.example", [EgressHeader(name="A", value="b")], name="t")
    await call(sandbox, "set_egress_policy", EgressPolicy(default_action="Deny"))
    await call(sandbox, "add_egress_rewrite_rule", "b.example", rewrite_host="c.example", name="r")
    await call(sandbox, "set_egress_policy", EgressPolicy(default_action="Deny"))
    await call(sandbox, "get_egress_decisions")
    await call(sandbox, "set_lifecycle_policy", LifecyclePolicy(auto_suspend=AutoSuspendPolicy(enabled=False)))
    snapshot = await call(sandbox, "begin_create_snapshot", **often)
    second = await call(sandbox, "create_snapshot", name="second")
    await call(sandbox, "begin_commit", **often)
    await call(sandbox, "commit", name="second")
    await call(sandbox, "add_volume_mount", AddVolumeMountRequest(volume_name="shared", mountpoint="/mnt"))
    await call(sandbox, "begin_stop", **often)
    await call(sandbox, "begin_resume", **often)
    await call(sandbox, "stop")
    await call(sandbox, "resume")
    await call(sandbox, "wait_for_running")
    await call(sandbox, "ensure_running")

    await call(group, "get_snapshot", snapshot.id)
    await call(group, "list_snapshots")
    await call(group, "delete_snapshot", second.id)
    await call(group, "begin_delete_snapshot", snapshot.id, **often)
    await call(sandbox, "delete")
    await call(sandbox, "begin_delete", **often)
    await call(sandbox, "close")
    await call(group, "delete_sandbox", sandbox.sandbox_id)
    await call(group, "begin_delete_sandbox", sandbox.sandbox_id, **often)
    await call(group, "delete_volume", "disk")
    await call(group, "begin_delete_volume", "shared", **often)
    await call(group, "delete_disk_image", image.id)
    for left in await settled(group.list_disk_images()):
        await call(group, "begin_delete_disk_image", left.id, **often)
    await call(group, "close")
    await call(groups, "begin_delete_group", name, **often)
    await call(groups, "delete_group", other)
    await call(groups, "close")
    for client in (groups, group, sandbox):
        call.never_called(client)


if __name__ == "__main__":
    calls = Calls()
    kinds = {"sync": (management, data_plane), "async": (async_management, async_data_plane)}

    async def main():
        groups, group_client = kinds[sys.argv[1]]
        await walk(calls, groups(), group_client)

    asyncio.run(main())
    print(json.dumps(calls.outcomes))

"""azure-mgmt-appcontainers, Azure's client for all of Microsoft.App; every operation on sandbox groups."""

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.appcontainers import ContainerAppsAPIClient
from azure.mgmt.appcontainers.aio import ContainerAppsAPIClient as AsyncContainerAppsAPIClient
from azure.mgmt.appcontainers.models import SandboxGroup, SandboxGroupPatch
from host import AsyncToken, Token, endpoint, equal, new_name, often, refused, subscription


def groups_are_made_changed_listed_and_deleted():
    name = new_name()
    with ContainerAppsAPIClient(Token(), subscription, base_url=endpoint, **often) as client:
        groups = client.sandbox_groups
        made = groups.begin_create_or_update("rg", name, SandboxGroup(location="local", tags={"a": "1"})).result()
        equal((made.name, made.type, made.tags), (name, "Microsoft.App/sandboxGroups", {"a": "1"}))
        equal(made.properties.provisioning_state, "Succeeded")
        assert made.system_data.created_at, made
        changed = groups.begin_update("rg", name, SandboxGroupPatch(tags={"b": "2"})).result()
        equal((changed.tags, groups.get("rg", name).tags), ({"b": "2"}, {"b": "2"}))
        assert name in [each.name for each in groups.list_by_resource_group("rg")]
        assert name in [each.name for each in groups.list_by_subscription()]
        equal(list(client.vnet_connections.list_by_sandbox_group("rg", name)), [])
        with refused(501, "NotSupported"):
            client.vnet_connections.create_or_update("rg", name, "v", {"properties": {"subnetId": "/subscriptions/s"}})
        with refused(404):
            client.vnet_connections.get("rg", name, "v")
        client.vnet_connections.begin_delete("rg", name, "v").result()
        groups.begin_delete("rg", name).result()
        groups.begin_delete("rg", name).result()
        with refused(404, "ResourceNotFound"):
            groups.get("rg", name)


async def the_asynchronous_client_does_the_same():
    name = new_name()
    async with AsyncContainerAppsAPIClient(AsyncToken(), subscription, base_url=endpoint, **often) as client:
        groups = client.sandbox_groups
        poller = await groups.begin_create_or_update("rg", name, SandboxGroup(location="local"))
        equal((await poller.result()).name, name)
        poller = await groups.begin_update("rg", name, {"tags": {"b": "2"}})
        equal((await poller.result()).tags, {"b": "2"})
        assert name in [each.name async for each in groups.list_by_subscription()]
        await (await groups.begin_delete("rg", name)).result()
        try:
            await groups.get("rg", name)
            raise AssertionError("it is still there")
        except ResourceNotFoundError as error:
            equal(error.error.code, "ResourceNotFound")


def what_microsoft_app_has_besides_is_not_there():
    with ContainerAppsAPIClient(Token(), subscription, base_url=endpoint) as client:
        for call in (
            lambda: list(client.managed_environments.list_by_subscription()),
            lambda: list(client.container_apps.list_by_resource_group("rg")),
            lambda: client.jobs.get("rg", "job"),
        ):
            try:
                call()
                raise AssertionError("it answered")
            except HttpResponseError as error:
                equal(error.status_code, 404)
                assert error.error and error.error.code, error

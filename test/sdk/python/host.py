"""The host under test, and how each of the SDKs' clients is pointed at it. The SDKs themselves are as Azure made them."""

import os
import time
import uuid
from contextlib import asynccontextmanager, contextmanager

from azure.containerapps.sandbox import SandboxGroupClient, SandboxGroupManagementClient, aio
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport

endpoint = os.environ["SANDBOXES_ENDPOINT"]
token = os.environ["SANDBOXES_TOKEN"]
subscription = "11111111-2222-3333-4444-555555555555"
resource_group = "Some-Group"
azure = "https://management.azure.com"

# What sandboxes are asked for where a test has no wish of its own.
size = {"cpu": "500m", "memory": "128Mi"}
# Pollers ask at once and then every so many seconds.
often = {"polling_interval": 1}


class Token:
    """A credential of azure-core that has one token."""

    def __init__(self, text=token):
        self.text = text

    def get_token(self, *scopes, **options):
        return AccessToken(self.text, int(time.time()) + 3600)


class AsyncToken(Token):
    async def get_token(self, *scopes, **options):
        return super().get_token()

    async def close(self):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *reason):
        pass


class OwnHost(RequestsTransport):
    """The client for groups has no option for their address."""

    def send(self, request, **options):
        request.url = request.url.replace(azure, endpoint, 1)
        return super().send(request, **options)


class AsyncOwnHost(AioHttpTransport):
    async def send(self, request, **options):
        request.url = request.url.replace(azure, endpoint, 1)
        return await super().send(request, **options)


def management(**options):
    options = {"transport": OwnHost(), "subscription_id": subscription, "resource_group": resource_group, **options}
    return SandboxGroupManagementClient(Token(), **options)


def async_management():
    return aio.SandboxGroupManagementClient(
        AsyncToken(), subscription_id=subscription, resource_group=resource_group, transport=AsyncOwnHost()
    )


def data_plane(name, **options):
    return SandboxGroupClient(
        *(endpoint, options.pop("credential", Token())),
        **{"subscription_id": subscription, "resource_group": resource_group, "sandbox_group": name, **options},
    )


def async_data_plane(name):
    return aio.SandboxGroupClient(
        *(endpoint, AsyncToken()),
        **{"subscription_id": subscription, "resource_group": resource_group, "sandbox_group": name},
    )


def new_name():
    return f"g-{uuid.uuid4().hex[:12]}"


@contextmanager
def a_group():
    """A client of a group of its own, which goes with all in it."""
    name = new_name()
    with management() as groups:
        groups.begin_create_group(name, "local", **often).result()
        try:
            with data_plane(name) as client:
                yield client
        finally:
            groups.begin_delete_group(name, **often).result()


@asynccontextmanager
async def an_async_group():
    name = new_name()
    async with async_management() as groups:
        await (await groups.begin_create_group(name, "local", **often)).result()
        try:
            async with async_data_plane(name) as client:
                yield client
        finally:
            await (await groups.begin_delete_group(name, **often)).result()


def a_sandbox(group, **options):
    return group.begin_create_sandbox(**{**size, **often, **options}).result()


def equal(found, expected):
    assert found == expected, f"\n  found     {found!r}\n  expected  {expected!r}"


@contextmanager
def refused(status, code=None):
    """The block ends with the service's refusal, which the SDK could read."""
    try:
        yield
    except HttpResponseError as error:
        told = error.error.code if error.error else None
        equal((error.status_code, told), (status, code or told))
        assert told, f"no code in {error!r}"
    else:
        raise AssertionError(f"it was not refused with {status}")


def output(sandbox, command, **options):
    """What a shell command printed; it must succeed."""
    result = sandbox.exec(command, **options)
    assert result.exit_code == 0, f"{command}: {result}"
    return result.stdout

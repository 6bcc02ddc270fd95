"""Azure's SDK for sandboxes, as it comes from PyPI, on a host of your own."""

import os
import time

from azure.containerapps.sandbox import SandboxGroupClient, SandboxGroupManagementClient
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import DefaultAzureCredential

host = os.environ["SANDBOXES_ENDPOINT"]


class HostToken:
    """The host's token, which has no end. DefaultAzureCredential works too; see below."""

    def get_token(self, *scopes, **options):
        return AccessToken(os.environ["SANDBOXES_TOKEN"], int(time.time()) + 3600)


class OwnHost(RequestsTransport):
    """The client for groups has no option for where they are."""

    def send(self, request, **options):
        request.url = request.url.replace("https://management.azure.com", host, 1)
        return super().send(request, **options)


credential = DefaultAzureCredential() if "IDENTITY_ENDPOINT" in os.environ else HostToken()
# Both are names only: nothing of them has to exist before.
place = {"subscription_id": "00000000-0000-0000-0000-000000000000", "resource_group": "local"}

groups = SandboxGroupManagementClient(credential, **place, transport=OwnHost())
groups.begin_create_group("sdk", "local").result()
group = SandboxGroupClient(host, credential, **place, sandbox_group="sdk")

sandbox = group.begin_create_sandbox(disk="ubuntu", cpu="500m", memory="256Mi").result()
sandbox.write_file("/tmp/numbers.txt", "1\n2\n39\n")
print(sandbox.exec("awk '{ sum += $1 } END { print sum }' /tmp/numbers.txt").stdout.strip())

snapshot = sandbox.begin_create_snapshot(name="numbers").result()
sandbox.begin_delete().result()
copy = group.begin_create_sandbox(snapshot_id=snapshot.id).result()
print(copy.read_file("/tmp/numbers.txt").decode().split())
groups.begin_delete_group("sdk", polling_interval=1).result()

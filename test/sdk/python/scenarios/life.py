"""What needs machines that can be saved, and images with content."""

import os

from azure.containerapps.sandbox import AddVolumeMountRequest, SandboxVolume
from azure.core.exceptions import ResourceNotFoundError
from host import a_group, a_sandbox, an_async_group, equal, often, output, refused, size

registry = os.environ["REGISTRY_IMAGE"]
# Writes its count now and then, whole at any moment, and knows it only in memory.
ticking = "(n=0; while :; do n=$((n + 1)); echo $n > /dev/shm/next; mv /dev/shm/next /dev/shm/count; sleep 0.1; done) > /dev/null 2>&1 &"
counted = "while ! test -s /dev/shm/count; do sleep 0.1; done; cat /dev/shm/count"


def count(sandbox):
    return int(output(sandbox, counted))


def the_whole_life():
    with a_group() as group:
        assert "ubuntu" in [each.name for each in group.list_public_disk_images()]
        equal(group.get_public_disk_image("ubuntu").status.state, "Ready")
        image = group.begin_create_disk_image(registry, name="tools", **often).result()
        equal((image.status.state, image.labels["name"]), ("Ready", "tools"))
        equal([each.id for each in group.list_disk_images()], [image.id])
        with a_sandbox(group, disk_id=image.id, labels={"life": "whole"}, environment={"A": "b c"}) as sandbox:
            sandbox.write_file("/root/notes/day.txt", "one\n")
            equal(output(sandbox, "cat /root/notes/day.txt; echo $A"), "one\nb c\n")
            output(sandbox, ticking)
            before = count(sandbox)
            sandbox.begin_stop(**often).result()
            equal(sandbox.get().state, "Stopped")
            equal([each.id for each in group.list_sandboxes(labels={"life": "whole"})], [sandbox.sandbox_id])
            sandbox.begin_resume(**often).result()
            assert count(sandbox) >= before
            snapshot = sandbox.begin_create_snapshot(name="evening", **often).result()
            equal((snapshot.labels, snapshot.sandbox_id), ({"name": "evening"}, sandbox.sandbox_id))
            committed = sandbox.begin_commit(name="mine", **often).result()
            equal((committed.status.state, committed.labels), ("Ready", {"name": "mine"}))
            sandbox.begin_delete(**often).result()
        equal([each.id for each in group.list_snapshots()], [snapshot.id])

        with group.begin_create_sandbox(snapshot_id=snapshot.id, **often).result() as copy:
            equal(copy.get().resources.memory, size["memory"])
            assert count(copy) >= before
            equal(output(copy, "cat /root/notes/day.txt; echo $A"), "one\nb c\n")
            copy.begin_delete(**often).result()
        with a_sandbox(group, disk_id=committed.id) as copy:
            equal(output(copy, "cat /root/notes/day.txt; ls /dev/shm"), "one\n")
            copy.begin_delete(**often).result()

        group.begin_delete_snapshot(snapshot.id, **often).result()
        for each in (image, committed):
            group.begin_delete_disk_image(each.id, **often).result()
        equal((list(group.list_disk_images()), list(group.list_snapshots())), ([], []))


def an_image_that_cannot_be_had_fails_with_its_reason():
    with a_group() as group:
        try:
            group.begin_create_disk_image(f"{registry}-not-there", **often).result()
            raise AssertionError("it was made")
        except RuntimeError as error:
            assert "failed" in str(error), error
        [image] = group.list_disk_images()
        equal(image.status.state, "Failed")
        assert "not-there" in image.status.message, image


def a_stopped_sandbox_has_no_snapshot_and_no_commit():
    with a_group() as group:
        sandbox = a_sandbox(group)
        sandbox.begin_stop(**often).result()
        with refused(409, "SandboxNotRunning"):
            sandbox.create_snapshot()
        with refused(409, "SandboxNotRunning"):
            sandbox.commit()


def sandboxes_share_a_volume():
    with a_group() as group:
        volume = group.create_volume("shared", labels={"team": "red"})
        equal((volume.name, volume.type, volume.labels, volume.is_attached), ("shared", "AzureBlob", {"team": "red"}, False))
        mount = [SandboxVolume(volume_name="shared", mountpoint="/mnt/data")]
        read_only = [SandboxVolume(volume_name="shared", mountpoint="/mnt/data", read_only=True)]
        one, other = a_sandbox(group, volumes=mount), a_sandbox(group, volumes=read_only)
        output(one, "echo from one > /mnt/data/file")
        equal(output(other, "cat /mnt/data/file"), "from one\n")
        assert other.exec("echo x > /mnt/data/file").exit_code != 0
        equal(one.read_file("/mnt/data/file"), b"from one\n")
        assert group.get_volume("shared").is_attached
        with refused(409):
            group.delete_volume("shared")
        late = a_sandbox(group)
        late.add_volume_mount(AddVolumeMountRequest(volume_name="shared", mountpoint="/mnt/late"))
        equal(output(late, "cat /mnt/late/file"), "from one\n")
        for sandbox in (one, other, late):
            sandbox.begin_delete(**often).result()
        group.begin_delete_volume("shared", **often).result()
        with refused(404):
            group.get_volume("shared")


def a_data_disk_belongs_to_one_sandbox():
    with a_group() as group:
        group.create_volume("disk", type="DataDisk", size="32Mi")
        mount = [SandboxVolume(volume_name="disk", mountpoint="/mnt/disk")]
        one = a_sandbox(group, volumes=mount, auto_suspend_mode="Disk")
        output(one, "echo kept > /mnt/disk/file")
        with refused(409, "VolumeInUse"):
            a_sandbox(group, volumes=mount, auto_suspend_mode="Disk")
        one.begin_delete(**often).result()
        other = a_sandbox(group, volumes=mount, auto_suspend_mode="Disk")
        equal(output(other, "cat /mnt/disk/file"), "kept\n")
        equal([(each.name, each.size) for each in group.list_volumes()], [("disk", "32Mi")])


async def the_asynchronous_clients_live_the_same_life():
    import asyncio

    async with an_async_group() as group:
        image = await (await group.begin_create_disk_image(registry, **often)).result()
        pollers = await asyncio.gather(*(group.begin_create_sandbox(disk_id=image.id, **size, **often) for _ in range(2)))
        one, other = [await poller.result() for poller in pollers]
        equal(len([each async for each in group.list_sandboxes()]), 2)
        await one.write_file("/tmp/a file", b"\x00bytes")
        equal(await one.read_file("/tmp/a file"), b"\x00bytes")
        results = await asyncio.gather(*(each.exec("echo out; exit 3") for each in (one, other)))
        equal({(each.exit_code, each.stdout) for each in results}, {(3, "out\n")})
        await one.exec(ticking)
        before = int((await one.exec(counted)).stdout)
        await (await one.begin_stop(**often)).result()
        await one.ensure_running()
        snapshot = await (await one.begin_create_snapshot(**often)).result()
        await (await one.begin_delete(**often)).result()
        copy = await (await group.begin_create_sandbox(snapshot_id=snapshot.id, **often)).result()
        assert int((await copy.exec(counted)).stdout) >= before
        committed = await (await copy.begin_commit(name="mine", **often)).result()
        equal(committed.status.state, "Ready")
        try:
            await group.get_sandbox(one.sandbox_id)
            raise AssertionError("it is still there")
        except ResourceNotFoundError as error:
            equal(error.error.code, "SandboxNotFound")

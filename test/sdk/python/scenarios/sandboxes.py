from azure.containerapps.sandbox import AddPortRequest, PortAuthConfig
from host import a_group, a_sandbox, data_plane, equal, refused, often, output, size
import uuid


def a_sandbox_is_made_of_the_default_source_and_deleted():
    with a_group() as group:
        sandbox = group.begin_create_sandbox(**often).result()
        found = sandbox.get()
        equal(found.state, "Running")
        equal((found.resources.cpu, found.resources.memory), ("1000m", "2048Mi"))
        equal(found.sources_ref.disk_image.name, "ubuntu")
        equal(found.lifecycle.auto_suspend.interval, 300)
        sandbox.begin_delete(**often).result()
        with refused(404, "SandboxNotFound"):
            sandbox.get()
        sandbox.delete()


def each_source_makes_one():
    with a_group() as group:
        image = group.begin_create_disk_image("registry.example/tools:1", name="tools", **often).result()
        equal((image.status.state, image.labels), ("Ready", {"name": "tools"}))
        for source in ({"disk": "ubuntu"}, {"disk_id": image.id}):
            sandbox = a_sandbox(group, **source)
            equal(output(sandbox, "echo here"), "here\n")
        with refused(400, "ImageNotFound"):
            a_sandbox(group, disk="no-such-image")
        with refused(400, "ImageNotFound"):
            a_sandbox(group, disk_id=str(uuid.uuid4()))
        with refused(400, "SnapshotNotFound"):
            a_sandbox(group, snapshot_id=str(uuid.uuid4()))
        with refused(501, "NotSupported"):
            a_sandbox(group, preset="Claude")


def lists_are_filtered_by_all_labels():
    with a_group() as group:
        for team in ("red", "blue"):
            for tier in ("one", "two"):
                a_sandbox(group, labels={"team": team, "tier": tier, "app.kubernetes.io/name": "x", "empty": ""})
        labels = lambda **wanted: sorted(
            (each.labels["team"], each.labels["tier"]) for each in group.list_sandboxes(labels=wanted)
        )
        equal(labels(team="red"), [("red", "one"), ("red", "two")])
        equal(labels(team="red", tier="two"), [("red", "two")])
        equal(labels(team="green"), [])
        equal(len(list(group.list_sandboxes(labels={"app.kubernetes.io/name": "x"}))), 4)
        with refused(400):
            a_sandbox(group, labels={"long": "x" * 64})


def lists_are_whole():
    with a_group() as group:
        pollers = [group.begin_create_sandbox(cpu="250m", memory="64Mi", **often) for _ in range(28)]
        ids = {poller.result().sandbox_id for poller in pollers}
        equal({each.id for each in group.list_sandboxes()}, ids)
        with data_plane(group.sandbox_group, api_version="2026-09-01-preview") as newer:
            equal({each.id for each in newer.list_sandboxes()}, ids)
            pages = [list(page) for page in newer.list_sandboxes().by_page()]
            equal(sum(map(len, pages)), 28)


def environment_entrypoint_and_command_are_taken():
    with a_group() as group:
        sandbox = a_sandbox(
            group, environment={"GREETING": "hello there", "UMLAUT": "ä"}, entrypoint=["sleep"], cmd=["1000"]
        )
        equal(output(sandbox, 'echo "$GREETING $UMLAUT"'), "hello there ä\n")
        found = sandbox.get()
        equal(found.entrypoint, ["sleep"])
        equal(found.environment, {})


def a_stopped_sandbox_keeps_its_programs():
    with a_group() as group:
        sandbox = a_sandbox(group)
        output(sandbox, "nohup sh -c 'while :; do echo tick >> /tmp/ticks; sleep 0.1; done' > /dev/null 2>&1 & until test -s /tmp/ticks; do sleep 0.1; done")
        sandbox.begin_stop(**often).result()
        found = sandbox.get()
        equal((found.state, found.state_details.stopped_reason), ("Stopped", "UserStopped"))
        with refused(409, "SandboxNotRunning"):
            sandbox.exec("true")
        with refused(409):
            sandbox.stop()
        equal(sandbox.begin_resume(**often).result().state, "Running")
        before = int(output(sandbox, "wc -l < /tmp/ticks"))
        after = int(output(sandbox, f"while [ $(wc -l < /tmp/ticks) -le {before} ]; do sleep 0.1; done; wc -l < /tmp/ticks"))
        assert after > before
        with refused(409, "InvalidSandboxState"):
            sandbox.resume()
        sandbox.stop()
        sandbox.ensure_running()
        equal(sandbox.wait_for_running().state, "Running")


def a_lifecycle_is_set_and_merged():
    from azure.containerapps.sandbox import AutoDeletePolicy, AutoSuspendPolicy, LifecyclePolicy

    with a_group() as group:
        sandbox = a_sandbox(group, auto_suspend_seconds=600, auto_suspend_mode="Disk")
        equal(sandbox.get().lifecycle.auto_suspend, AutoSuspendPolicy(enabled=True, interval=600, mode="Disk"))
        told = sandbox.set_lifecycle_policy(
            LifecyclePolicy(auto_delete=AutoDeletePolicy(enabled=True, delete_interval_seconds=86400))
        )
        equal(told.auto_delete, AutoDeletePolicy(enabled=True, delete_interval_seconds=86400))
        equal(told.auto_suspend.interval, 600)
        equal(sandbox.get().lifecycle, told)
        told = sandbox.set_lifecycle_policy(LifecyclePolicy(auto_suspend=AutoSuspendPolicy(enabled=False)))
        assert not told.auto_suspend.enabled and told.auto_delete.enabled


def an_idle_sandbox_is_suspended_and_an_old_one_deleted():
    import time
    from azure.containerapps.sandbox import AutoDeletePolicy, AutoSuspendPolicy, LifecyclePolicy

    with a_group() as group:
        sandbox = a_sandbox(group)
        sandbox.set_lifecycle_policy(LifecyclePolicy(auto_suspend=AutoSuspendPolicy(enabled=True, interval=1)))
        while sandbox.get().state != "Stopped":
            time.sleep(0.2)
        equal(sandbox.get().state_details.stopped_reason, "Idle")
        sandbox.set_lifecycle_policy(
            LifecyclePolicy(auto_delete=AutoDeletePolicy(enabled=True, delete_interval_seconds=1))
        )
        while list(group.list_sandboxes()):
            time.sleep(0.2)


def statistics_are_of_the_guest():
    with a_group() as group:
        sandbox = a_sandbox(group)
        stats = sandbox.get_stats()
        assert 0 < stats.memory.used_bytes <= stats.memory.total_bytes, stats
        assert stats.storage.total_bytes > 0 and stats.cpu.usage_core_nano_seconds is not None, stats
        assert stats.network.rx_bytes is not None, stats
        sandbox.begin_stop(**often).result()
        with refused(409, "SandboxNotRunning"):
            sandbox.get_stats()


def what_only_azure_has_is_refused_by_name():
    with a_group() as group:
        for option in (
            {"connections": ["x"]},
            {"customer_vnet_connection_name": "v"},
            {"vmm_type": "CloudHypervisor"},
            {"skip_egress_proxy": True},
        ):
            with refused(501, "NotSupported"):
                a_sandbox(group, **option)
        equal(list(group.list_sandboxes()), [])


def odd_requests_are_told_from_wrong_ones():
    with a_group() as group:
        for option in ({"cpu": "a lot"}, {"memory": "-1"}, {"disk_size": "x"}, {"ports": [AddPortRequest(port=0)]}):
            with refused(400):
                a_sandbox(group, **option)
        with refused(400):
            group.get_sandbox("not-a-guid")
        with refused(400):
            a_sandbox(group, ports=[8080])
        sandbox = a_sandbox(group, ports=[AddPortRequest(port=8080, auth=PortAuthConfig(anonymous=True))])
        equal([each.port for each in sandbox.get().ports], [8080])

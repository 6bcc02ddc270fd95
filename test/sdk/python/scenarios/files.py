from host import a_group, a_sandbox, equal, output, refused


def files_are_written_read_listed_and_removed():
    with a_group() as group:
        sandbox = a_sandbox(group)
        sandbox.write_file("/tmp/new/folder/text.txt", "grüße\n")
        equal(sandbox.read_file("/tmp/new/folder/text.txt"), "grüße\n".encode())
        equal(output(sandbox, "cat /tmp/new/folder/text.txt"), "grüße\n")
        sandbox.write_file("/tmp/new/folder/empty", b"")
        equal(sandbox.read_file("/tmp/new/folder/empty"), b"")
        sandbox.write_file("/tmp/new/.script", "#!/bin/sh\necho ran\n", mode="0755")
        equal(output(sandbox, "/tmp/new/.script"), "ran\n")
        with refused(404, "FileNotFound"):
            sandbox.write_file("/tmp/absent/file", "x", create_dirs=False)

        listing = sandbox.list_files("/tmp/new")
        equal(listing.path, "/tmp/new")
        equal(
            {(each.name, each.path, each.is_directory) for each in listing.entries},
            {(".script", "/tmp/new/.script", False), ("folder", "/tmp/new/folder", True)},
        )
        info = sandbox.stat_file("/tmp/new/folder/text.txt")
        equal((info.name, info.size, info.is_directory), ("text.txt", 8, False))
        assert info.modified_at and info.mode, info

        sandbox.mkdir("/tmp/made/of/many")
        assert sandbox.stat_file("/tmp/made/of/many").is_directory
        with refused(409, "FileConflict"):
            sandbox.delete_file("/tmp/made")
        sandbox.delete_file("/tmp/made", recursive=True)
        sandbox.delete_file("/tmp/new/folder/text.txt")
        for call in (sandbox.read_file, sandbox.stat_file, sandbox.list_files):
            with refused(404, "FileNotFound"):
                call("/tmp/new/folder/text.txt")


def bytes_survive_whatever_they_are():
    import hashlib
    import os

    with a_group() as group:
        sandbox = a_sandbox(group)
        content = os.urandom(3_000_000)
        sandbox.write_file("/tmp/bytes", content)
        equal(output(sandbox, "sha256sum < /tmp/bytes").split()[0], hashlib.sha256(content).hexdigest())
        equal(sandbox.read_file("/tmp/bytes"), content)
        sandbox.write_file("/tmp/json", b'{"not": "parsed"', container_name="main")
        equal(sandbox.read_file("/tmp/json", container_name="main"), b'{"not": "parsed"')


def names_are_taken_as_the_sdk_sends_them():
    with a_group() as group:
        sandbox = a_sandbox(group)
        for name in ("with space", "a=b;c,d", "ümläut", "per%cent", "(brackets)", "quo'te"):
            path = f"/tmp/names/{name}"
            if "%" in path:
                path = path.replace("%", "%25")
            sandbox.write_file(path, name)
            equal(sandbox.read_file(path).decode(), name)
        names = {each.name for each in sandbox.list_files("/tmp/names").entries}
        equal(names, {"with space", "a=b;c,d", "ümläut", "per%cent", "(brackets)", "quo'te"})
        # The SDK sends a plus sign as it is, which means a space.
        output(sandbox, "echo plus > /tmp/names/c++")
        equal(sandbox.read_file("/tmp/names/c++"), b"plus\n")


def a_stopped_sandbox_has_no_files():
    with a_group() as group:
        sandbox = a_sandbox(group)
        sandbox.begin_stop(polling_interval=1).result()
        for call in (sandbox.list_files, sandbox.stat_file, sandbox.read_file, sandbox.mkdir):
            with refused(409, "SandboxNotRunning"):
                call("/tmp")

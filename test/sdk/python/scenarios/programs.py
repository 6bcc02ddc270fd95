from concurrent.futures import ThreadPoolExecutor

from azure.containerapps.sandbox import ExecResult
from azure.core.rest import HttpRequest
from host import Token, a_group, a_sandbox, endpoint, equal, output, refused, subscription, resource_group


def a_command_answers_exit_code_and_both_streams():
    with a_group() as group:
        sandbox = a_sandbox(group)
        result = sandbox.exec("echo out; echo err >&2; exit 7")
        assert isinstance(result, ExecResult)
        equal((result.exit_code, result.stdout, result.stderr), (7, "out\n", "err\n"))
        equal(sandbox.exec("pwd", working_directory="/tmp").stdout, "/tmp\n")
        equal(sandbox.exec("no-such-program").exit_code, 127)
        equal(sandbox.exec("kill -9 $$").exit_code, 137)
        equal(sandbox.exec("printf 'ü%s' '日本'").stdout, "ü日本")
        equal(len(sandbox.exec("head -c 1000000 /dev/zero | tr '\\0' x").stdout), 1_000_000)


def many_run_at_once():
    with a_group() as group:
        sandbox = a_sandbox(group)
        with ThreadPoolExecutor(8) as threads:
            printed = list(threads.map(lambda n: output(sandbox, f"sleep 0.2; echo {n}"), range(16)))
        equal(printed, [f"{n}\n" for n in range(16)])


def wire(group, sandbox, action, body):
    """What the SDK has no method for, through its own pipeline."""
    path = f"/subscriptions/{subscription}/resourceGroups/{resource_group}/sandboxGroups/{group.sandbox_group}"
    url = f"{endpoint}{path}/sandboxes/{sandbox.sandbox_id}/{action}?api-version=2026-02-01-preview"
    response = group._pipeline.run(HttpRequest("POST", url, json=body)).http_response
    return response.status_code, response.json()


def a_program_runs_without_a_shell_and_wakes_its_sandbox():
    with a_group() as group:
        sandbox = a_sandbox(group, environment={"FROM": "sandbox"})
        status, result = wire(group, sandbox, "executeCommand", {"command": "printf", "args": ["%s|", "a b", "$HOME"]})
        equal((status, result["exitCode"], result["stdout"]), (200, 0, "a b|$HOME|"))
        status, result = wire(
            *(group, sandbox, "executeShellCommand"),
            {"command": 'echo "$FROM $NEW"', "environment": {"NEW": "here"}, "shell": "/bin/sh"},
        )
        equal(result["stdout"], "sandbox here\n")
        sandbox.begin_stop(polling_interval=1).result()
        for action in ("executeCommand", "executeShellCommand"):
            status, result = wire(group, sandbox, action, {"command": "true", "activationMode": "Manual"})
            equal((status, result["error"]["code"]), (409, "SandboxNotRunning"))
        status, result = wire(group, sandbox, "executeShellCommand", {"command": "echo up", "activationMode": "OnDemand"})
        equal((status, result["stdout"], sandbox.get().state), (200, "up\n", "Running"))
        sandbox.begin_stop(polling_interval=1).result()
        status, _ = wire(group, sandbox, "disable", {})
        equal(status, 200)
        status, result = wire(group, sandbox, "executeShellCommand", {"command": "true", "activationMode": "OnDemand"})
        equal(status, 409)
        try:
            sandbox.ensure_running()
            raise AssertionError("it was woken")
        except RuntimeError as error:
            assert "disabled" in str(error), error
        equal(wire(group, sandbox, "enable", {})[0], 200)
        sandbox.ensure_running()


async def _stream(group, sandbox, start):
    """Azure's exec/stream, which no method of the SDK opens: frames of JSON over a WebSocket."""
    import aiohttp
    import base64

    path = f"/subscriptions/{subscription}/resourceGroups/{resource_group}/sandboxGroups/{group.sandbox_group}"
    url = f"{endpoint}{path}/sandboxes/{sandbox.sandbox_id}/exec/stream?api-version=2026-02-01-preview"
    headers = {"Authorization": f"Bearer {Token().text}"}
    printed = {"stdout": b"", "stderr": b""}
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as socket:
        await socket.send_json({"type": "start", "start": start})
        if start["stdin"]:
            await socket.send_json({"type": "stdin", "data": base64.b64encode(b"some words\n").decode()})
        async for message in socket:
            frame = message.json()
            if frame["type"] in printed:
                printed[frame["type"]] += base64.b64decode(frame["data"])
            else:
                return frame, printed


def a_program_is_streamed():
    import asyncio

    with a_group() as group:
        sandbox = a_sandbox(group)
        start = {"command": ["sh", "-c", "read line; echo got $line; echo err >&2; exit 3"], "stdin": True, "tty": False}
        end, printed = asyncio.run(_stream(group, sandbox, start))
        equal((end["type"], end["exitCode"]), ("exit_code", 3))
        equal(printed, {"stdout": b"got some words\n", "stderr": b"err\n"})
        start = {"command": ["sh", "-c", "test -t 1 && stty size"], "tty": True, "stdin": False, "height": 40, "width": 100}
        end, printed = asyncio.run(_stream(group, sandbox, start))
        equal((end["exitCode"], printed["stdout"]), (0, b"40 100\r\n"))
        end, _ = asyncio.run(_stream(group, sandbox, {"command": ["no-such"], "tty": False, "stdin": False}))
        equal(end["type"], "error")

import requests
from azure.containerapps.sandbox import AddPortRequest, PortAuthConfig, PortIpAccessControl, PortIpAccessControlRule
from host import a_group, a_sandbox, equal, output, refused, token

serve = "mkdir -p /tmp/www && echo served > /tmp/www/index.html && busybox httpd -p {} -h /tmp/www"


def rule(action, *cidrs):
    return PortIpAccessControlRule(name="only", action=action, priority=1, source_cidrs=list(cidrs))


def a_port_is_added_called_replaced_and_removed():
    with a_group() as group:
        sandbox = a_sandbox(group)
        output(sandbox, serve.format(8080))
        port = sandbox.add_port(8080, anonymous=True)
        equal((port.port, port.auth.anonymous), (8080, True))
        equal(requests.get(port.url).text, "served\n")
        equal([each.url for each in sandbox.get().ports], [port.url])
        with refused(409, "PortAlreadyExists"):
            sandbox.add_port(8080, anonymous=True)
        with refused(400):
            sandbox.add_port(8081)
        with refused(400):
            sandbox.add_port(70000, anonymous=True)
        with refused(501, "NotSupported"):
            sandbox.add_port(8081, email="a@b.example")

        kept, added = sandbox.update_ports(
            [AddPortRequest(port=8080, auth=PortAuthConfig(anonymous=True)), AddPortRequest(port=9090, auth=PortAuthConfig(anonymous=True))]
        )
        equal((kept.port, added.port), (8080, 9090))
        equal(requests.get(kept.url).text, "served\n")
        equal(requests.get(added.url).status_code, 502)
        sandbox.remove_port(9090)
        with refused(404):
            sandbox.remove_port(9090)
        equal([each.port for each in sandbox.get().ports], [8080])
        equal(sandbox.update_ports([]), [])


def addresses_are_let_in_by_rule():
    with a_group() as group:
        sandbox = a_sandbox(group)
        output(sandbox, serve.format(8080))
        deny = PortIpAccessControl(default_action="Allow", rules=[rule("Deny", "127.0.0.0/8")])
        port = sandbox.add_port(8080, anonymous=True, ip_access_control=deny)
        equal(port.ip_access_control.rules[0].source_cidrs, ["127.0.0.0/8"])
        refusal = requests.get(port.url)
        equal((refusal.status_code, refusal.json()["errorCode"]), (403, "IpAccessDenied"))
        allow = PortIpAccessControl(default_action="Deny", rules=[rule("Allow", "127.0.0.1/32")])
        [port] = sandbox.update_ports(
            [AddPortRequest(port=8080, auth=PortAuthConfig(anonymous=True), ip_access_control=allow)]
        )
        equal(requests.get(port.url).text, "served\n")


def a_call_wakes_a_sandbox_whose_port_says_so():
    with a_group() as group:
        port = AddPortRequest(port=8080, auth=PortAuthConfig(anonymous=True), activation_mode="OnDemand", protocol="Http")
        sandbox = a_sandbox(group, ports=[port])
        output(sandbox, serve.format(8080))
        url = sandbox.get().ports[0].url
        sandbox.begin_stop(polling_interval=1).result()
        equal(requests.get(url).text, "served\n")
        equal(sandbox.get().state, "Running")
        manual = sandbox.add_port(8081, anonymous=True)
        sandbox.begin_stop(polling_interval=1).result()
        refusal = requests.get(manual.url)
        equal((refusal.status_code, refusal.json()["error"]), (403, "Sandbox is not running"))

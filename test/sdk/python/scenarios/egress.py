"""The site is at SITE_PORT of any name that ends in `.test`, with TLS at SITE_TLS_PORT; it answers what it was asked."""

import json
import os

from azure.containerapps.sandbox import (
    EgressHeader,
    EgressHeaderValueRef,
    EgressHostRule,
    EgressManagedIdentityRef,
    EgressPolicy,
    EgressSecretRef,
)
from host import a_group, a_sandbox, equal, output, refused

port = os.environ["SITE_PORT"]


def site(name="www.test", path="/"):
    return f"http://{name}:{port}{path}"


def secure(name, path):
    return f"https://{name}:{os.environ['SITE_TLS_PORT']}{path}"


def fetched(sandbox, url):
    """Status and body."""
    body, _, status = output(sandbox, f"curl -s -w '\\n%{{http_code}}' {url}").rpartition("\n")
    return int(status), body


def a_policy_is_set_whole_and_by_parts():
    with a_group() as group:
        sandbox = a_sandbox(group)
        equal(sandbox.get_egress_policy().default_action, "Deny")
        told = sandbox.set_egress_policy(
            EgressPolicy(default_action="Deny", host_rules=[EgressHostRule(pattern="www.test", action="Allow")])
        )
        equal((told.default_action, told.host_rules[0].pattern), ("Deny", "www.test"))
        equal(fetched(sandbox, site())[0], 200)
        equal(fetched(sandbox, site("other.test"))[0], 403)
        sandbox.add_egress_host_rule("*.other.test")
        equal(fetched(sandbox, site("other.test"))[0], 200)
        sandbox.set_egress_default("Allow")
        equal(fetched(sandbox, site("third.test"))[0], 200)
        sandbox.add_egress_host_rule("third.test", action="Deny")
        equal(fetched(sandbox, site("third.test"))[0], 403)
        policy = sandbox.get_egress_policy()
        equal(
            [(rule.pattern, rule.action) for rule in policy.host_rules],
            [("www.test", "Allow"), ("*.other.test", "Allow"), ("third.test", "Deny")],
        )


def a_policy_comes_with_the_sandbox_and_decisions_are_told():
    with a_group() as group:
        policy = EgressPolicy(default_action="Deny", host_rules=[EgressHostRule(pattern="*.test")])
        sandbox = a_sandbox(group, egress_policy=policy)
        equal(fetched(sandbox, site("a.test", "/path?x=1"))[0], 200)
        equal(fetched(sandbox, site("elsewhere.example"))[0], 403)
        decisions = sandbox.get_egress_decisions()
        [allowed], [denied] = decisions.network_egress.allowed, decisions.network_egress.denied
        equal((allowed.host, allowed.method, allowed.path, allowed.scheme), ("a.test", "GET", "/path", "http"))
        equal(denied.host, "elsewhere.example")
        assert allowed.timestamp and decisions.last_updated


def requests_are_changed_by_rule():
    with a_group() as group:
        group.upsert_secret("api", {"token": "from-the-secret"})
        sandbox = a_sandbox(group, egress_policy=EgressPolicy(default_action="Allow"))
        secret = EgressSecretRef(secret_id="api", secret_key="token", format="Bearer {value}")
        headers = [
            EgressHeader(operation="Set", name="Authorization", value_ref=EgressHeaderValueRef(secret_ref=secret)),
            EgressHeader(operation="Insert", name="X-Added", value="yes"),
            EgressHeader(operation="Remove", name="User-Agent"),
        ]
        sandbox.add_egress_transform_rule("api.test", headers, name="credentials", path="/v1/*", methods=["GET"])
        policy = sandbox.get_egress_policy()
        equal(policy.rules[0].action.headers, headers)
        equal((policy.rules[0].match.path, policy.rules[0].match.methods), ("/v1/*", ["GET"]))
        asked, seen = json.loads(fetched(sandbox, secure("api.test", "/v1/items"))[1])
        equal((asked, seen["authorization"], seen["x-added"]), ("/v1/items", "Bearer from-the-secret", "yes"))
        assert "user-agent" not in seen, seen
        asked, seen = json.loads(fetched(sandbox, secure("api.test", "/v2/items"))[1])
        equal((asked, "authorization" in seen, "user-agent" in seen), ("/v2/items", False, True))
        equal(output(sandbox, "env | grep -c from-the-secret || true"), "0\n")

        sandbox.add_egress_rewrite_rule("old.test", rewrite_path="/moved", name="moved")
        equal([rule.action.type for rule in sandbox.get_egress_policy().rules], ["Transform", "Rewrite"])
        asked, seen = json.loads(fetched(sandbox, secure("old.test", "/before"))[1])
        equal((asked, seen["host"].split(":")[0]), ("/moved", "old.test"))


def what_needs_azure_is_refused_by_name():
    with a_group() as group:
        sandbox = a_sandbox(group)
        identity = EgressHeaderValueRef(managed_identity_ref=EgressManagedIdentityRef(resource="https://x.example"))
        with refused(501, "NotSupported"):
            sandbox.add_egress_transform_rule("a.test", [EgressHeader(name="Authorization", value_ref=identity)])


def setting_a_policy_wakes_the_sandbox():
    with a_group() as group:
        sandbox = a_sandbox(group)
        sandbox.begin_stop(polling_interval=1).result()
        sandbox.set_egress_default("Allow")
        equal(sandbox.get().state, "Running")

"""The site is at SITE_PORT of any name that ends in `.test`."""

import os

from azure.containerapps.sandbox import (
    EgressHeader,
    EgressHeaderValueRef,
    EgressHostRule,
    EgressManagedIdentityRef,
    EgressPolicy,
)
from host import a_group, a_sandbox, equal, output, refused

port = os.environ["SITE_PORT"]


def site(name="www.test", path="/"):
    return f"http://{name}:{port}{path}"


def fetched(sandbox, url):
    """Status and body; the site answers what it was asked."""
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

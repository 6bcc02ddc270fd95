from host import a_group, equal, refused


def secrets_are_put_peeked_listed_and_deleted():
    with a_group() as group:
        equal(list(group.list_secrets()), [])
        put = group.upsert_secret("api-key", {"token": "s3cret", "user": "me"})
        equal(put.id, "api-key")
        equal(sorted(group.list_secret_keys("api-key")), ["token", "user"])
        equal(group.peek_secret("api-key").values, {"token": "s3cret", "user": "me"})
        group.upsert_secret("api-key", {"token": "other"})
        equal(group.peek_secret("api-key").values, {"token": "other"})
        group.upsert_secret("second", {"x": ""})
        listed = list(group.list_secrets())
        equal(sorted(each.id for each in listed), ["api-key", "second"])
        assert "other" not in repr(listed)
        group.delete_secret("api-key")
        for call in (group.peek_secret, group.list_secret_keys):
            with refused(404, "SecretNotFound"):
                call("api-key")


def odd_names_and_empty_values_are_refused():
    with a_group() as group:
        for name in ("ab", "with_underscore", "x" * 65):
            with refused(400):
                group.upsert_secret(name, {"key": "value"})

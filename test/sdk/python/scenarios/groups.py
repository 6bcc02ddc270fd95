from host import management, new_name, often, refused, equal, subscription, resource_group, data_plane, a_sandbox, Token


def a_group_is_made_changed_listed_and_deleted():
    name = new_name()
    with management() as groups:
        made = groups.begin_create_group(name, "East US 2", tags={"team": "red"}, **often).result()
        equal((made.name, made.location, made.tags), (name, "East US 2", {"team": "red"}))
        equal(
            made.id,
            f"/subscriptions/{subscription}/resourceGroups/{resource_group}"
            f"/providers/Microsoft.App/sandboxGroups/{name}",
        )
        equal(made.properties["provisioningState"], "Succeeded")
        again = groups.create_group(name, "eastus2", tags={"team": "blue"})
        equal(again.tags, {"team": "blue"})
        assert name in [each.name for each in groups.list_groups()]
        equal(groups.get_group(name.upper()).name, name)
        assert groups.begin_delete_group(name, **often).result() is None
        with refused(404, "ResourceNotFound"):
            groups.get_group(name)
        groups.delete_group(name)
        assert name not in [each.name for each in groups.list_groups()]


def groups_of_a_resource_group_that_nobody_has_made_are_none():
    with management(resource_group="nobody-has-made-it") as groups:
        equal(list(groups.list_groups()), [])


def many_groups_come_in_one_list():
    with management(resource_group="many") as groups:
        names = {new_name() for _ in range(30)}
        for name in names:
            groups.create_group(name, "local")
        equal({each.name for each in groups.list_groups()}, names)
        for name in names:
            groups.delete_group(name)


def a_group_cannot_move():
    name = new_name()
    with management() as groups:
        groups.create_group(name, "local")
        with refused(409, "InvalidResourceLocation"):
            groups.create_group(name, "westus2")
        groups.delete_group(name)


def what_only_azure_has_is_refused_by_name():
    name = new_name()
    subnet = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    with management() as groups:
        with refused(501, "NotSupported"):
            groups.begin_create_group(name, "local", identity={"type": "SystemAssigned"}, **often)
        groups.create_group(name, "local")
        equal(groups.begin_patch_group_identity(name, {"type": "None"}, **often).result().name, name)
        with refused(501, "NotSupported"):
            groups.patch_group_identity(name, {"type": "SystemAssigned"})
        with refused(501, "NotSupported"):
            groups.create_or_update_vnet_connection(name, "v", subnet)
        groups.delete_vnet_connection(name, "v")
        groups.delete_group(name)


def a_wrong_token_is_told_at_once():
    with data_plane("any", credential=Token("not-the-token-of-this-host")) as group:
        with refused(401, "Unauthorized"):
            list(group.list_sandboxes())


def an_unknown_group_is_told():
    with data_plane("no-such-group") as group:
        for call in (
            lambda: list(group.list_sandboxes()),
            lambda: list(group.list_disk_images()),
            lambda: list(group.list_secrets()),
            lambda: list(group.list_volumes()),
            lambda: list(group.list_snapshots()),
            lambda: a_sandbox(group),
        ):
            with refused(404, "ResourceNotFound"):
                call()

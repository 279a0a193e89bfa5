"""The directory in the store: names are unique where they must be, and taking away never gives."""

import asyncio
from collections.abc import Collection, Coroutine
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import (
    a_device,
    a_redirected_stub,
    an_alert,
    an_audit_context,
    an_incident,
    to_json,
)
from tests.support.database_access import below
from tests.support.house import READ_ALL, House, RunningHouse, a_name
from vigie.application.webhooks import add_webhook
from vigie.core.access import WHOLE_TENANT, DeviceGroupLabel, Exposure, RolePermission, exposure_of
from vigie.core.directory import DeviceGroup, DirectoryError, Tenant, User
from vigie.core.incident import LATEST_TIME
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.documents.defender.reading import keep_incident
from vigie.runtime.clock import now

T = TypeVar("T")

UNGROUPED = "Ungrouped devices"

_numbers = count(1000)


class DirectoryRepository:
    """The directory of a tenant of its own, spoken to without waiting."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.store = house.directory
        self.tenant = house.tenant

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.house.running.run(work)

    def refuses(self, work: Coroutine[Any, Any, object]) -> str:
        with pytest.raises(DirectoryError) as refused:
            self.do(work)
        assert "\n" not in str(refused.value)
        return str(refused.value)

    def add_user(self) -> User:
        return self.do(self.store.add_user(self.tenant, f"{a_name('user')}@contoso.example"))

    def grant(self, user: User, *groups: str, role: str = "security-reader") -> None:
        chosen = self.do(self.store.get_role(self.tenant, role))
        self.do(self.store.grant(self.tenant, user, chosen, groups))

    def exposure(self, user: User) -> Exposure | None:
        return exposure_of(self.do(self.store.assignments(self.tenant, user)))

    def labels(self, user: User) -> Collection[DeviceGroupLabel]:
        exposure = self.exposure(user)
        assert exposure is not None
        assert not exposure.whole_tenant
        return exposure.device_groups

    def add_group(self, name: str, number: int | None = None) -> None:
        self.do(self.store.add_device_group(self.tenant, name, number))

    def groups(self) -> list[DeviceGroup]:
        return [each for each in self.do(self.store.device_groups(self.tenant)) if each.name != UNGROUPED]

    def meets(self, number: int | None, name: str | None) -> None:
        """Import an incident with a device in a group."""
        self.house.takes(an_incident(an_alert(devices=[a_device(rbacGroupId=number, rbacGroupName=name)])))


@pytest.fixture
def directory(house: House) -> DirectoryRepository:
    return DirectoryRepository(house)


def group(name: str, number: int | None = None) -> DeviceGroup:
    return DeviceGroup(name=name, number=number)


# Tenants


def test_a_tenant_is_found_by_its_id_or_domain_in_any_case_and_by_its_name(
    directory: DirectoryRepository,
) -> None:
    name, domain = a_name("Tenant"), f"{a_name('contoso')}.example"
    tenant = directory.do(directory.store.add_tenant(name, guid=None, domain=domain.upper()))

    found = [
        directory.do(directory.store.find_tenant(reference))
        for reference in (tenant.guid, tenant.guid.upper(), domain, domain.upper(), name)
    ]

    assert found == [tenant] * 5
    assert (tenant.name, tenant.domain) == (name, domain)
    assert directory.do(directory.store.find_tenant(name.lower())) is None


def test_a_tenant_may_bring_its_id_in_any_spelling(directory: DirectoryRepository) -> None:
    guid = f"{next(_numbers):08X}-52D7-4C0E-9C57-0A4E6F1D2B88"

    tenant = directory.do(directory.store.add_tenant(a_name("Tenant"), guid=f"{{{guid}}}", domain=None))

    assert tenant.guid == guid.lower()


def test_nothing_that_names_a_tenant_names_another(directory: DirectoryRepository) -> None:
    domain = f"{a_name('contoso')}.example"
    first = directory.do(directory.store.add_tenant(a_name("Tenant"), guid=None, domain=domain))

    for name, guid, other_domain in [
        (first.name, None, None),
        (first.guid, None, None),
        (domain, None, None),
        (domain.upper(), None, None),
        (a_name("Tenant"), first.guid, None),
        (a_name("Tenant"), first.guid.upper(), None),
        (a_name("Tenant"), None, domain.upper()),
    ]:
        refused = directory.store.add_tenant(name, guid=guid, domain=other_domain)
        assert "there is already a tenant" in directory.refuses(refused)


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "\x00", "x" * 201, "common", "Organizations"])
def test_what_cannot_name_a_tenant_is_refused(directory: DirectoryRepository, name: str) -> None:
    assert directory.refuses(directory.store.add_tenant(name, guid=None, domain=None))


@pytest.mark.parametrize("guid", ["", "x", "3b0f6c1a", "3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b8g"])
def test_what_is_no_guid_is_refused(directory: DirectoryRepository, guid: str) -> None:
    assert "is not a GUID" in directory.refuses(
        directory.store.add_tenant(a_name("Tenant"), guid=guid, domain=None)
    )


@pytest.mark.parametrize(
    "domain",
    ["", "contoso", "common", ".example", "a..b", "-a.example", "a_b.example", "a.example/", "é.example"],
)
def test_what_is_no_domain_is_refused(directory: DirectoryRepository, domain: str) -> None:
    assert "is not a domain" in directory.refuses(
        directory.store.add_tenant(a_name("Tenant"), guid=None, domain=domain)
    )


def test_a_tenant_with_incidents_is_not_removed(directory: DirectoryRepository) -> None:
    number = directory.house.takes(a_redirected_stub(1))

    assert directory.refuses(directory.store.remove_tenant(directory.tenant))
    incidents = directory.house.running.installation.incidents
    directory.do(incidents.remove_incident(directory.tenant.tenant_id, number, an_audit_context()))
    directory.do(directory.store.remove_tenant(directory.tenant))

    assert directory.do(directory.store.find_tenant(directory.tenant.guid)) is None


def test_with_a_tenant_goes_its_directory(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.grant(user)
    application, _ = directory.house.add_application(READ_ALL)

    directory.do(directory.store.remove_tenant(directory.tenant))

    assert directory.do(directory.store.find_user(directory.tenant, user.object_id)) is None
    assert directory.do(directory.store.find_application(directory.tenant, application.client_id)) is None
    assert directory.do(directory.store.assignments(directory.tenant, user)) == []


def test_a_removed_tenant_leaves_no_row_in_any_table(directory: DirectoryRepository) -> None:
    installation, tenant_id = directory.house.running.installation, directory.tenant.tenant_id
    directory.house.takes(an_incident(an_alert("laptops"), an_alert("servers")))
    directory.do(installation.evidence_projection.catch_up(tenant_id, seconds_max=5))
    adding = add_webhook(
        installation.webhooks,
        directory.tenant,
        "https://soar.example",
        name=None,
        kinds=(),
        severities=(),
        allows_private=False,
        private=(),
        encrypt=str,
        at=now(),
    )
    directory.do(adding)
    stored = below(directory.house.running.settings.database)
    tables = [name for name, columns in stored.columns().items() if "tenant_id" in columns]

    def filled() -> set[str]:
        counted = {
            each: stored.rows(f"SELECT count(*) FROM {each} WHERE tenant_id = {tenant_id}") for each in tables
        }
        return {each for each, rows in counted.items() if rows != [(0,)]}

    assert filled() >= {
        "alert",
        "change",
        "consumer",
        "evidence",
        "incident_listing",
        "visibility",
        "webhook",
    }
    removing = installation.incidents.remove_incidents_before(tenant_id, LATEST_TIME, an_audit_context())
    directory.do(removing)
    directory.do(directory.store.remove_tenant(directory.tenant))

    assert filled() == set()


def test_a_new_tenant_never_takes_the_place_of_a_removed_one(directory: DirectoryRepository) -> None:
    """A server may remember callers of the removed one for a while: they must not meet the new one's data."""
    removed = directory.house.add_tenant()

    directory.do(directory.store.remove_tenant(removed))

    assert directory.house.add_tenant().tenant_id > removed.tenant_id


# Applications


def test_an_application_has_its_permissions_in_one_order(directory: DirectoryRepository) -> None:
    permissions = ("Incident.ReadWrite.All", READ_ALL, READ_ALL)

    application, _ = directory.house.add_application(*permissions)

    assert application.permissions == (READ_ALL, "Incident.ReadWrite.All")


@pytest.mark.parametrize(
    "permission", ["Incidents.Read", "Incidents.Read.All", "incident.read.all", "Alert.Read.All", "", " "]
)
def test_a_permission_that_applications_do_not_have_is_refused(
    directory: DirectoryRepository, permission: str
) -> None:
    refused = directory.store.add_application(directory.tenant, a_name("app"), [READ_ALL, permission])

    assert "is not a permission of an application" in directory.refuses(refused)


def test_a_name_of_an_application_is_its_own_in_its_tenant_alone(directory: DirectoryRepository) -> None:
    other = directory.house.add_tenant()
    name = a_name("app")
    directory.do(directory.store.add_application(directory.tenant, name, []))
    directory.do(directory.store.add_application(other, name, []))

    refused = directory.store.add_application(directory.tenant, name, [])

    assert "there is already an application" in directory.refuses(refused)


def test_an_application_is_not_found_in_another_tenant(directory: DirectoryRepository) -> None:
    application, _ = directory.house.add_application()
    other = directory.house.add_tenant()

    for reference in (application.client_id, application.name):
        assert directory.do(directory.store.find_application(other, reference)) is None


def test_a_client_id_goes_before_a_name_that_looks_like_one(directory: DirectoryRepository) -> None:
    first, _ = directory.house.add_application()
    refused = directory.store.add_application(directory.tenant, first.client_id, [])

    assert "there is already an application" in directory.refuses(refused)


def test_no_secret_is_anywhere_in_the_store(directory: DirectoryRepository) -> None:
    application, secret = directory.house.add_application()
    newer = directory.do(directory.store.rotate_secret(directory.tenant, application, now()))

    everything = below(directory.house.running.settings.database).everything()

    assert application.client_id.encode() in everything
    assert secret.encode() not in everything
    assert newer.encode() not in everything


def test_rotating_again_does_not_lengthen_the_life_of_an_older_secret(directory: DirectoryRepository) -> None:
    application, _ = directory.house.add_application()
    soon, later = (Instant(now() + seconds * TICKS_PER_SECOND) for seconds in (10, 1000))

    for until in (soon, later):
        directory.do(directory.store.rotate_secret(directory.tenant, application, until))

    kept = directory.do(directory.store.client_secrets(directory.tenant, application))
    assert sorted((each.expires_at for each in kept), key=str) == sorted((soon, later, None), key=str)


def test_an_old_secret_can_be_ended_earlier_than_was_said(directory: DirectoryRepository) -> None:
    application, _ = directory.house.add_application()
    soon, later = (Instant(now() + seconds * TICKS_PER_SECOND) for seconds in (10, 1000))

    for until in (later, soon):
        directory.do(directory.store.rotate_secret(directory.tenant, application, until))

    kept = directory.do(directory.store.client_secrets(directory.tenant, application))
    assert [each.expires_at for each in kept if each.expires_at is not None] == [soon, soon]


# Roles


def test_built_in_roles_are_every_tenants_and_cannot_be_removed_or_made_again(
    directory: DirectoryRepository,
) -> None:
    for name in ("security-reader", "security-operator", "security-administrator"):
        role = directory.do(directory.store.get_role(directory.tenant, name))
        add = directory.store.add_role(directory.tenant, name, [RolePermission.VIEW_DATA])
        assert "built in" in directory.refuses(directory.store.remove_role(directory.tenant, role))
        assert "already a role" in directory.refuses(add)


def test_only_roles_that_carry_view_data_let_see(directory: DirectoryRepository) -> None:
    directory.do(directory.store.add_role(directory.tenant, "closer", [RolePermission.MANAGE_INCIDENTS]))
    user = directory.add_user()

    directory.grant(user, role="closer")

    assert directory.exposure(user) is None


def test_a_role_without_a_permission_is_refused(directory: DirectoryRepository) -> None:
    assert "needs a permission" in directory.refuses(directory.store.add_role(directory.tenant, "empty", []))


def test_with_a_role_go_its_assignments_and_they_do_not_come_back(directory: DirectoryRepository) -> None:
    user, permissions = directory.add_user(), [RolePermission.VIEW_DATA]
    role = directory.do(directory.store.add_role(directory.tenant, "hunter", permissions))
    directory.grant(user, role="hunter")

    directory.do(directory.store.remove_role(directory.tenant, role))
    without = directory.exposure(user)
    directory.do(directory.store.add_role(directory.tenant, "hunter", permissions))

    assert (without, directory.exposure(user)) == (None, None)


def test_a_role_of_one_tenant_is_not_anothers(directory: DirectoryRepository) -> None:
    directory.do(directory.store.add_role(directory.tenant, "hunter", [RolePermission.VIEW_DATA]))
    other = directory.house.add_tenant()

    assert "there is no role 'hunter'" in directory.refuses(directory.store.get_role(other, "hunter"))


# Users


def test_a_user_is_found_by_upn_in_any_case_and_by_object_id(directory: DirectoryRepository) -> None:
    user = directory.do(directory.store.add_user(directory.tenant, "Ana.GROẞ@contoso.example"))

    for upn in (user.upn, "aNA.groẞ@CONTOSO.example"):
        assert directory.do(directory.store.find_user_by_upn(directory.tenant, upn)) == user
    for object_id in (user.object_id, user.object_id.upper()):
        assert directory.do(directory.store.find_user(directory.tenant, object_id)) == user
    for reference in (user.upn, user.object_id):
        assert directory.do(directory.store.get_user(directory.tenant, reference)) == user


LOOK_ALIKES = [
    ("mark@contoso.example", "mar\u212a@contoso.example"),
    ("mark@contoso.example", "mark@\uff43ontoso.example"),
    ("strasse@contoso.example", "straße@contoso.example"),
    ("straße@contoso.example", "STRASSE@contoso.example"),
    ("élodie@contoso.example", "Élodie@contoso.example"),
    ("lisa@contoso.example", "li\u017fa@contoso.example"),
]


@pytest.mark.parametrize(("upn", "other"), LOOK_ALIKES)
def test_a_name_that_only_folds_to_a_upn_is_nobodys(
    directory: DirectoryRepository, upn: str, other: str
) -> None:
    directory.do(directory.store.add_user(directory.tenant, upn))

    assert directory.do(directory.store.find_user_by_upn(directory.tenant, other)) is None


def test_two_upns_that_fold_to_the_same_are_not_both_taken(directory: DirectoryRepository) -> None:
    directory.do(directory.store.add_user(directory.tenant, "mark@contoso.example"))

    refused = directory.refuses(directory.store.add_user(directory.tenant, "mar\u212a@contoso.example"))

    assert "there is already a user" in refused


def test_a_upn_is_no_object_id_and_an_object_id_no_upn(directory: DirectoryRepository) -> None:
    user = directory.add_user()

    assert directory.do(directory.store.find_user(directory.tenant, user.upn)) is None
    assert directory.do(directory.store.find_user_by_upn(directory.tenant, user.object_id)) is None


@pytest.mark.parametrize("name", ["ada", "@contoso.example", "ada@", "ada b@contoso.example", "", "a\n@b"])
def test_what_is_no_upn_is_refused(directory: DirectoryRepository, name: str) -> None:
    with pytest.raises(DirectoryError):
        directory.do(directory.store.add_user(directory.tenant, name))


def test_a_upn_is_one_users_whatever_its_case(directory: DirectoryRepository) -> None:
    directory.do(directory.store.add_user(directory.tenant, "ana@contoso.example"))

    refused = directory.store.add_user(directory.tenant, "ANA@contoso.example")

    assert "already a user" in directory.refuses(refused)


def test_of_two_who_add_the_same_at_once_one_is_refused(directory: DirectoryRepository) -> None:
    async def both(one: Coroutine[Any, Any, object], other: Coroutine[Any, Any, object]) -> list[object]:
        return [*await asyncio.gather(one, other, return_exceptions=True)]

    store, tenant, name = directory.store, directory.tenant, a_name("same")
    view = [RolePermission.VIEW_DATA]
    pairs = [
        (
            store.add_user(tenant, f"{name}@contoso.example"),
            store.add_user(tenant, f"{name}@contoso.example"),
        ),
        (store.add_role(tenant, name, view), store.add_role(tenant, name, view)),
        (store.add_application(tenant, name, []), store.add_application(tenant, name, [])),
        (store.add_device_group(tenant, name, None), store.add_device_group(tenant, name, None)),
        (store.add_tenant(name, guid=None, domain=None), store.add_tenant(name, guid=None, domain=None)),
    ]

    for pair in pairs:
        refused = [each for each in directory.do(both(*pair)) if isinstance(each, Exception)]
        assert [type(each) for each in refused] == [DirectoryError]


def test_a_new_user_sees_nothing(directory: DirectoryRepository) -> None:
    assert directory.exposure(directory.add_user()) is None


# Grants


def test_a_grant_without_groups_is_over_the_whole_tenant(directory: DirectoryRepository) -> None:
    user = directory.add_user()

    directory.grant(user)

    assert directory.exposure(user) == WHOLE_TENANT


def test_a_grant_over_a_group_that_is_not_known_gives_nothing(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("laptops")
    reader = directory.do(directory.store.get_role(directory.tenant, "security-reader"))

    refused = directory.store.grant(directory.tenant, user, reader, ["laptops", "unknown"])

    assert "there is no device group 'unknown'" in directory.refuses(refused)
    assert directory.exposure(user) is None


def test_a_group_is_granted_by_its_name_or_its_number(directory: DirectoryRepository) -> None:
    by_name, by_number = directory.add_user(), directory.add_user()
    directory.add_group("servers", 12)

    directory.grant(by_name, "servers")
    directory.grant(by_number, "12")

    assert directory.labels(by_name) == directory.labels(by_number) == {12, "servers"}


def test_of_groups_with_one_name_a_grant_says_which_by_number(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("servers", 12)
    directory.add_group("servers", 13)
    reader = directory.do(directory.store.get_role(directory.tenant, "security-reader"))

    refused = directory.store.grant(directory.tenant, user, reader, ["servers"])

    assert "say which by number: 12, 13" in directory.refuses(refused)
    directory.grant(user, "13")
    assert 13 in directory.labels(user)
    assert 12 not in directory.labels(user)


def test_a_group_that_is_named_twice_in_one_grant_is_granted_once(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("servers", 12)

    directory.grant(user, "servers", "servers", "12")

    assert directory.labels(user) == {12, "servers"}


def test_revoking_one_role_leaves_the_others(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("laptops")
    directory.grant(user)
    directory.grant(user, "laptops", role="security-operator")
    reader = directory.do(directory.store.get_role(directory.tenant, "security-reader"))

    count_ = directory.do(directory.store.revoke(directory.tenant, user, reader))

    assert (count_, directory.labels(user)) == (1, {"laptops"})


def test_revoking_without_a_role_takes_everything_from_this_user_alone(
    directory: DirectoryRepository,
) -> None:
    one, other = directory.add_user(), directory.add_user()
    for user in (one, one, other):
        directory.grant(user)

    count_ = directory.do(directory.store.revoke(directory.tenant, one, None))

    assert (count_, directory.exposure(one), directory.exposure(other)) == (2, None, WHOLE_TENANT)


# Device groups


def test_a_tenant_begins_with_the_ungrouped_devices(directory: DirectoryRepository) -> None:
    everything = directory.do(directory.store.device_groups(directory.tenant))

    assert everything == [group(UNGROUPED)]


def test_groups_are_met_by_importing(directory: DirectoryRepository) -> None:
    for number, name in [(12, "servers"), (None, "kiosks"), (0, None), (14, None), (12, "servers")]:
        directory.meets(number, name)

    assert directory.groups() == [group("#14", 14), group("kiosks"), group("servers", 12)]


def test_a_group_known_by_name_learns_its_number_and_grants_hold(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("servers")
    directory.grant(user, "servers")

    directory.meets(12, "servers")

    assert directory.groups() == [group("servers", 12)]
    assert directory.labels(user) == {12, "servers"}


def test_a_group_learns_one_number_and_the_next_is_another_group(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("servers")
    directory.grant(user, "servers")

    directory.meets(12, "servers")
    directory.meets(13, "servers")

    assert directory.groups() == [group("servers", 12), group("servers", 13)]
    assert 13 not in directory.labels(user)


def test_a_group_known_by_number_learns_its_name_and_grants_hold(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.meets(14, None)
    directory.grant(user, "#14")

    directory.meets(14, "kiosks")
    directory.meets(14, None)
    directory.meets(14, "kiosks of Lyon")

    assert directory.groups() == [group("kiosks", 14)]
    assert directory.labels(user) == {14, "kiosks"}


def test_a_group_does_not_learn_a_name_that_another_is_known_by_alone(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("kiosks")
    directory.meets(14, None)
    directory.grant(user, "#14")

    directory.meets(14, "kiosks")

    assert directory.groups() == [group("#14", 14), group("kiosks")]
    assert directory.labels(user) == {14, "#14"}


def test_a_group_does_not_learn_a_name_that_another_number_goes_by(directory: DirectoryRepository) -> None:
    directory.meets(13, "kiosks")
    directory.meets(14, None)

    directory.meets(14, "kiosks")

    assert directory.groups() == [group("#14", 14), group("kiosks", 13)]


def test_a_group_that_learns_its_name_is_news_to_running_servers(directory: DirectoryRepository) -> None:
    directory.meets(14, None)
    before = directory.do(directory.store.version())

    directory.meets(14, "kiosks")

    assert directory.do(directory.store.version()) > before


def test_a_group_that_is_renamed_stays_the_one_with_its_number(directory: DirectoryRepository) -> None:
    directory.meets(12, "servers")

    directory.meets(12, "servers of Lyon")

    assert directory.groups() == [group("servers", 12)]


def test_a_group_is_known_once(directory: DirectoryRepository) -> None:
    directory.add_group("servers", 12)
    directory.add_group("kiosks")

    for name, number in [("servers", 12), ("other", 12), ("kiosks", None), (UNGROUPED, None)]:
        refused = directory.store.add_device_group(directory.tenant, name, number)
        assert "already a device group" in directory.refuses(refused)


@pytest.mark.parametrize("number", [0, -1, 2**63])
def test_a_number_that_no_group_has_is_refused(directory: DirectoryRepository, number: int) -> None:
    refused = directory.store.add_device_group(directory.tenant, "servers", number)

    assert "whole number from 1" in directory.refuses(refused)


def test_removing_a_group_never_widens_a_scope(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("servers", 12)
    directory.add_group("laptops", 11)
    directory.grant(user, "servers", "laptops")

    directory.do(directory.store.remove_device_group(directory.tenant, "servers"))
    one_left = directory.labels(user)
    directory.do(directory.store.remove_device_group(directory.tenant, "11"))

    assert one_left == {11, "laptops"}
    assert directory.exposure(user) == Exposure()


def test_a_removed_group_that_is_met_again_is_not_granted_again(directory: DirectoryRepository) -> None:
    user = directory.add_user()
    directory.add_group("servers", 12)
    directory.grant(user, "servers")

    directory.do(directory.store.remove_device_group(directory.tenant, "servers"))
    directory.meets(12, "servers")

    assert directory.exposure(user) == Exposure()


def test_the_ungrouped_devices_cannot_be_removed(directory: DirectoryRepository) -> None:
    refused = directory.store.remove_device_group(directory.tenant, UNGROUPED)

    assert "built in" in directory.refuses(refused)


def test_groups_of_two_tenants_do_not_meet(directory: DirectoryRepository) -> None:
    other = directory.house.add_tenant()
    directory.add_group("servers", 12)

    directory.do(directory.store.add_device_group(other, "servers", 12))
    directory.do(directory.store.remove_device_group(other, "servers"))

    assert directory.groups() == [group("servers", 12)]


# A property over any history

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.frozensets(st.sampled_from(["laptops", "servers", "kiosks"]))),
        st.tuples(st.just("revoke"), st.sampled_from(["security-reader", "security-operator"])),
        st.tuples(st.just("remove group"), st.sampled_from(["laptops", "servers", "kiosks"])),
        st.tuples(st.just("meet"), st.sampled_from([("laptops", 11), ("servers", 12), ("servers", 13)])),
    ),
    max_size=12,
)


@settings(max_examples=25)
@given(STEPS)
def test_taking_away_never_gives(running_house: RunningHouse, steps: list[tuple[str, Any]]) -> None:
    directory = DirectoryRepository(House(running_house))
    user = directory.add_user()

    for audit_context, what in steps:
        before = directory.exposure(user)
        known = {each.name for each in directory.groups()}
        if audit_context == "grant":
            for name in what - known:
                directory.add_group(name)
            names = [each.name for each in directory.groups()]
            directory.grant(user, *(name for name in what if names.count(name) == 1))
        elif audit_context == "meet":
            directory.meets(what[1], what[0])
        elif audit_context == "revoke":
            role = directory.do(directory.store.get_role(directory.tenant, what))
            directory.do(directory.store.revoke(directory.tenant, user, role))
            assert is_within(directory.exposure(user), before)
        elif [each.name for each in directory.groups()].count(what) == 1:
            directory.do(directory.store.remove_device_group(directory.tenant, what))
            assert is_within(directory.exposure(user), before)


def is_within(after: Exposure | None, before: Exposure | None) -> bool:
    if after is None or before == WHOLE_TENANT:
        return True
    return before is not None and not after.whole_tenant and after.device_groups <= before.device_groups


# What a running server hears


def changes_of(directory: DirectoryRepository, tenant: Tenant) -> list[Coroutine[Any, Any, object]]:
    store, user = directory.store, directory.add_user()
    application, _ = directory.house.add_application()
    reader = directory.do(store.get_role(tenant, "security-reader"))
    directory.add_group("servers")
    return [
        store.add_user(tenant, f"{a_name('user')}@contoso.example"),
        store.grant(tenant, user, reader, ["servers"]),
        store.revoke(tenant, user, None),
        store.remove_user(tenant, user),
        store.add_application(tenant, a_name("app"), []),
        store.rotate_secret(tenant, application, now()),
        store.remove_application(tenant, application),
        store.add_role(tenant, "hunter", [RolePermission.VIEW_DATA]),
        store.add_device_group(tenant, "laptops", 11),
        store.remove_device_group(tenant, "laptops"),
        store.add_tenant(a_name("Tenant"), guid=None, domain=None),
        directory.house.running.installation.incidents.put_incidents(
            tenant.tenant_id, [keep_incident(to_json(an_incident(an_alert("servers"))))], an_audit_context()
        ),
    ]


def test_every_change_tells_running_servers_that_there_was_one(directory: DirectoryRepository) -> None:
    for change in changes_of(directory, directory.tenant):
        before = directory.do(directory.store.version())
        directory.do(change)
        assert directory.do(directory.store.version()) > before, change


def test_importing_into_groups_that_are_known_is_no_change_of_the_directory(
    directory: DirectoryRepository,
) -> None:
    directory.meets(12, "servers")
    before = directory.do(directory.store.version())

    directory.meets(12, "servers")
    directory.meets(None, None)

    assert directory.do(directory.store.version()) == before


def test_a_change_that_is_refused_leaves_nothing_behind(directory: DirectoryRepository) -> None:
    user, reader = (
        directory.add_user(),
        directory.do(directory.store.get_role(directory.tenant, "security-reader")),
    )
    before = directory.do(directory.store.version())

    directory.refuses(directory.store.grant(directory.tenant, user, reader, ["unknown"]))

    assert directory.do(directory.store.version()) == before


def test_the_issuer_is_settled_once(directory: DirectoryRepository) -> None:
    settled = directory.do(directory.store.find_issuer())

    again = directory.do(directory.store.settle_issuer("https://elsewhere.example"))

    assert again == settled == directory.house.running.url


def test_every_table_but_the_installations_has_the_tenant_in_its_key(directory: DirectoryRepository) -> None:
    keys = below(directory.house.running.settings.database).keys()

    without = {table for table, columns in keys.items() if not any("tenant_id" in each for each in columns)}
    assert without - {"installation_writer", "vigie_schema"} == {"installation"}

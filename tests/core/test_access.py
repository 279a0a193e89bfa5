"""Access: permissions by the kind of token, exposure as a union of assignments."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.core.access import (
    WHOLE_TENANT,
    Assignment,
    Caller,
    CallerKind,
    DeviceGroupLabel,
    Exposure,
    RolePermission,
    effective_permissions,
    exposure_of,
    overlap,
    require_read,
    require_write,
)
from vigie.core.errors import PermissionMissing, TokenPermissionMissing

VIEW = frozenset({RolePermission.VIEW_DATA})
MANAGE = frozenset({RolePermission.MANAGE_INCIDENTS})

EVERY_PERMISSION = [
    "Incident.Read.All",
    "Incident.ReadWrite.All",
    "Incident.Read",
    "Incident.ReadWrite",
    # None of these: names of other products, and spellings that are seen in guides.
    "Incidents.Read.All",
    "incident.read.all",
    "SecurityIncident.Read.All",
    "Alert.Read.All",
    "AdvancedHunting.Read.All",
    "Incident.Read.All,Incident.ReadWrite.All",
    "",
]
ALLOWED = {
    CallerKind.APPLICATION: {"Incident.Read.All", "Incident.ReadWrite.All"},
    CallerKind.USER: {"Incident.Read", "Incident.ReadWrite"},
}


def a_caller(
    kind: CallerKind,
    *granted: str,
    exposure: Exposure | None = WHOLE_TENANT,
    manages: Exposure | None = WHOLE_TENANT,
) -> Caller:
    return Caller(
        tenant_id=1,
        tenant_guid="3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88",
        kind=kind,
        application_id="c1a7e2d4-7f33-4a55-8a0e-d1f0b6a9c302",
        name="anyone",
        granted=granted,
        exposure=exposure,
        manages=manages,
    )


def an_assignment(*groups: DeviceGroupLabel, permissions: frozenset[RolePermission] = VIEW) -> Assignment:
    return Assignment(role="any", permissions=permissions, device_groups=frozenset(groups))


@pytest.mark.parametrize("kind", CallerKind)
@pytest.mark.parametrize("permission", EVERY_PERMISSION)
def test_each_kind_of_token_reads_with_its_own_two_permissions_alone(
    kind: CallerKind, permission: str
) -> None:
    caller = a_caller(kind, permission)

    if permission in ALLOWED[kind]:
        assert require_read(caller) == WHOLE_TENANT
    else:
        with pytest.raises(PermissionMissing):
            require_read(caller)


@given(st.sampled_from(CallerKind), st.lists(st.sampled_from(EVERY_PERMISSION)))
def test_any_one_permission_suffices(kind: CallerKind, granted: list[str]) -> None:
    caller = a_caller(kind, *granted)

    try:
        reads = require_read(caller) is not None
    except PermissionMissing:
        reads = False

    assert reads == bool(ALLOWED[kind] & set(granted))


def test_a_user_needs_view_data_beside_the_permission_of_the_token() -> None:
    with pytest.raises(PermissionMissing, match="no role"):
        require_read(a_caller(CallerKind.USER, "Incident.Read", exposure=None))


def test_a_user_reads_with_the_exposure_of_the_roles() -> None:
    exposure = Exposure(device_groups=frozenset({7, "servers"}))

    assert require_read(a_caller(CallerKind.USER, "Incident.ReadWrite", exposure=exposure)) == exposure


# Exposure

groups = st.frozensets(st.sampled_from([7, 8, "7", "servers", "laptops"]))
assignments = st.lists(
    st.builds(
        lambda permissions, whole, labels: Assignment(
            role="any", permissions=permissions, whole_tenant=whole, device_groups=labels
        ),
        st.frozensets(st.sampled_from(RolePermission)),
        st.booleans(),
        groups,
    ),
    max_size=4,
)


def test_nothing_said_means_nothing_seen() -> None:
    assert Exposure() == Exposure(device_groups=frozenset(), whole_tenant=False)
    assert exposure_of([]) is None


def test_an_assignment_without_view_data_shows_nothing() -> None:
    assert exposure_of([an_assignment("servers", permissions=MANAGE)]) is None
    assert exposure_of([an_assignment(permissions=frozenset())]) is None


def test_an_assignment_whose_groups_are_gone_shows_alerts_without_devices_only() -> None:
    assert exposure_of([an_assignment()]) == Exposure()


def test_exposure_is_the_union_over_assignments() -> None:
    both = exposure_of([an_assignment("servers", 12), an_assignment("laptops")])

    assert both == Exposure(device_groups=frozenset({"servers", 12, "laptops"}))


def test_a_scope_of_an_assignment_that_only_manages_does_not_count() -> None:
    exposure = exposure_of([an_assignment("laptops"), an_assignment("servers", permissions=MANAGE)])

    assert exposure == Exposure(device_groups=frozenset({"laptops"}))


@given(assignments, assignments)
def test_one_more_assignment_never_shows_less(before: list[Assignment], more: list[Assignment]) -> None:
    earlier, later = exposure_of(before), exposure_of(before + more)

    if earlier is not None:
        assert later is not None
        assert later.whole_tenant or (
            not earlier.whole_tenant and earlier.device_groups <= later.device_groups
        )


@given(assignments)
def test_the_whole_tenant_is_seen_by_viewers_of_the_whole_tenant_alone(given_: list[Assignment]) -> None:
    exposure = exposure_of(given_)

    sees_all = exposure is not None and exposure.whole_tenant
    assert sees_all == any(each.whole_tenant and each.permissions >= VIEW for each in given_)


# Why a caller may not, in words: for the caller, and for the log


def shortfall_of(require: Callable[[Caller], Exposure], caller: Caller) -> TokenPermissionMissing:
    with pytest.raises(TokenPermissionMissing) as refused:
        require(caller)
    return refused.value


def refusal_of(require: Callable[[Caller], Exposure], caller: Caller) -> tuple[str, str]:
    with pytest.raises(PermissionMissing) as refused:
        require(caller)
    return refused.value.message, refused.value.detail


def test_a_user_without_the_scope_is_told_which_are_missing() -> None:
    missing = shortfall_of(require_read, a_caller(CallerKind.USER, "Alert.Read", "Machine.Read"))

    assert missing.required == ("Incident.Read", "Incident.ReadWrite")
    assert missing.granted == ("Alert.Read", "Machine.Read")
    assert not missing.is_application
    assert missing.message == (
        "The token grants none of these permissions: Incident.Read, Incident.ReadWrite."
    )
    assert missing.detail == "the token grants no such permission"


def test_an_application_that_may_only_read_is_told_what_writing_needs() -> None:
    missing = shortfall_of(require_write, a_caller(CallerKind.APPLICATION, "Incident.Read.All"))

    assert missing.required == ("Incident.ReadWrite.All",)
    assert missing.granted == ("Incident.Read.All",)
    assert missing.is_application


def test_a_user_without_a_viewing_role_is_told_so() -> None:
    caller = a_caller(CallerKind.USER, "Incident.ReadWrite", exposure=None)

    for require in (require_read, require_write):
        assert refusal_of(require, caller) == (
            "The user has no role that allows viewing security data.",
            "no assignment of the user carries view-data",
        )


def test_a_user_without_a_managing_role_is_told_so() -> None:
    caller = a_caller(CallerKind.USER, "Incident.ReadWrite", manages=None)

    assert refusal_of(require_write, caller) == (
        "The user has no role that allows managing incidents.",
        "no assignment of the user carries manage-incidents",
    )


@pytest.mark.parametrize(
    ("kind", "permission"),
    [(CallerKind.APPLICATION, "Incident.ReadWrite.All"), (CallerKind.USER, "Incident.ReadWrite")],
)
def test_who_may_write_does_so_with_the_exposure_of_reading(kind: CallerKind, permission: str) -> None:
    laptops = Exposure(device_groups=frozenset({"laptops"}))

    assert require_write(a_caller(kind, permission, exposure=laptops)) == laptops


def test_an_overlap_lets_know_what_both_let_know() -> None:
    laptops, both = (
        Exposure(device_groups=frozenset(each)) for each in (["laptops"], ["laptops", "servers"])
    )

    assert overlap(laptops, both) == overlap(both, laptops) == laptops
    assert overlap(WHOLE_TENANT, laptops) == overlap(laptops, WHOLE_TENANT) == laptops
    assert overlap(WHOLE_TENANT, WHOLE_TENANT) == WHOLE_TENANT


def test_every_stub_is_known_about_where_it_is_said_and_where_both_say_so() -> None:
    every_stub = exposure_of([an_assignment()], every_stub=True)
    assert every_stub == Exposure(every_stub=True)

    assert overlap(every_stub, every_stub) == every_stub
    assert overlap(every_stub, Exposure()) == overlap(Exposure(), every_stub) == Exposure()


# What is left of a token when its application may do something else

PERMISSIONS = st.lists(st.sampled_from(EVERY_PERMISSION), unique=True).map(tuple)


@given(PERMISSIONS, st.lists(st.sampled_from(EVERY_PERMISSION[:2]), unique=True).map(tuple))
def test_a_token_reads_and_writes_if_it_says_so_and_its_application_still_may(
    stated: tuple[str, ...], present: tuple[str, ...]
) -> None:
    left = a_caller(CallerKind.APPLICATION, *effective_permissions(stated, present))
    as_stated, at_present = (a_caller(CallerKind.APPLICATION, *each) for each in (stated, present))

    for require in (require_read, require_write):
        assert allows(require, left) == (allows(require, as_stated) and allows(require, at_present))
        assert set(left.granted) <= {*stated, *present}


def allows(require: Callable[[Caller], Exposure], caller: Caller) -> bool:
    try:
        require(caller)
    except PermissionMissing:
        return False
    return True
